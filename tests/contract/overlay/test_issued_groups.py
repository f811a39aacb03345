from __future__ import annotations

import numpy as np
import pytest

from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import INPUT
from tritforge.network.network import Network
from tritforge.network.pe_groups import group_weights
from tritforge.overlay.issued_groups import IssuedGroups, ideal_speedup, issued_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.pair_coding import bit_planes
from tritforge.overlay.parameters import TILE_SHAPES, AcceleratorParameters
from tritforge.samples.random_network import random_network


def counted(network: Network, layer: Convolution, parameters: AcceleratorParameters) -> tuple[int, int, int]:
    """Tiles, groups and non-zero groups of a layer, counted from its map and its weights one by one."""
    rows, columns = TILE_SHAPES[parameters.pes]
    _, height, width = network.shapes[layer.name]
    corners = [(y, x) for y in range(height) for x in range(width) if y % rows == 0 and x % columns == 0]
    digits = 4 if layer.input == INPUT and layer.inputs <= 4 else 1
    passes = -(-(layer.weight_bits - 1) // digits)
    groups = nonzero = 0
    for output in range(layer.outputs):
        for step in range(passes):
            planes = bit_planes(layer.weights[output : output + 1], passes * digits)[
                step * digits : (step + 1) * digits
            ]
            together = np.abs(planes).sum(axis=0)
            for group in range(group_weights(together, 16).shape[1]):
                groups += 1
                nonzero += bool(group_weights(together, 16)[0, group].any())
    return len(corners), groups, nonzero


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pes", [4, 16])
def test_counts_equal_brute_force(seed: int, pes: int) -> None:
    network = random_network(np.random.default_rng(seed), activation_bits=8, max_channels=32, group_channels=16)
    parameters = fitting_parameters(network, AcceleratorParameters(pes=pes))
    layers = issued_groups(lower(network, parameters))
    total = issued = 0
    for layer, found in zip(network.convolutions(), layers, strict=True):
        tiles, groups, nonzero = counted(network, layer, parameters)
        if layer.ternary:  # a stored group may hold no trit and is issued all the same
            nonzero = int(layer.active[0].sum())
        assert (found.name, found.tiles, found.groups, found.nonzero_groups) == (layer.name, tiles, groups, nonzero)
        total, issued = total + tiles * groups, issued + tiles * nonzero
    assert ideal_speedup(layers) == pytest.approx(total / issued)


def test_every_group_issued_is_the_ideal_of_one() -> None:
    network = random_network(np.random.default_rng(3), activation_bits=8, max_channels=32, group_channels=16)
    parameters = fitting_parameters(network, AcceleratorParameters())
    layers = issued_groups(lower(network, parameters, every_group=True))
    assert all(layer.groups == layer.nonzero_groups for layer in layers)
    assert ideal_speedup(layers) == 1.0


def test_large_layers_weigh_more() -> None:
    layers = [IssuedGroups("large", 16, 10, 5, 0), IssuedGroups("small", 1, 10, 1, 5)]
    assert ideal_speedup(layers) == (160 + 10) / (80 + 1)


def test_a_network_that_issues_nothing_has_no_speedup() -> None:
    assert ideal_speedup([IssuedGroups("empty", 4, 0, 0, 0)]) == 1.0
