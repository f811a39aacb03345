"""The energy model counts what a program makes the array do, and weighs it with the published energies."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from tritforge.cost.energy_model import Activity, Energy, activity, energy
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network
from tritforge.overlay.issued_groups import issued_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import random_network
from tritforge.samples.resnet_network import resnet_network

PARAMETERS = AcceleratorParameters(pes=16)


def one_layer(active: np.ndarray, residual: bool = False) -> Network:
    """A 3x3 layer from 32 to 16 channels on a map of 4 by 16 pixels (four tiles), its groups given; pool and logits."""
    stored = np.ones((16, 2), dtype=np.bool_)
    one, four = np.ones(16, dtype=np.int64), np.ones(4, dtype=np.int64)
    weights = np.zeros((16, 32, 3, 3), dtype=np.int16)
    layer = Convolution("layer", "input", weights, 2, 1, one, 0 * one, 4, stored=stored, active=(active,))
    pool = AveragePool("pool", "layer", one, 0 * one, 6)
    head = Convolution("fc", "pool", np.zeros((4, 16, 1, 1), np.int16), 9, 1, four, 0 * four, 0, logits=True)
    return Network(InputSpec(32, 4, 16, 8, (0,) * 32), (layer, pool, head), 8, PARAMETERS.group_channels)


def test_counts_of_a_layer_by_hand() -> None:
    active = np.zeros((16, 2), dtype=np.bool_)
    active[:3, 0] = True  # three groups, all of the first channel group: one load a tile
    tiles, word = 4, 16 * 8
    assert activity(lower(one_layer(active), PARAMETERS)) == Activity(
        additions=tiles * 3 * 16 * 144,
        accumulations=tiles * 3 * 16,
        window_bits=tiles * 16 * 9 * word,
        products=16 * 4 * 16 + 16 + 4,
        residual_products=0,
        weight_bits=tiles * 3 * 288,
        bitmap_bits=(tiles * 2 + 1 + 8) * 32,  # the classifier's eight planes are empty, their words are not
        affine_bits=(tiles * 16 + 16 + 4) * 64,
        feature_read_bits=tiles * 4 * 10 * word,
        feature_write_bits=32 * 4 * 16 * 8 + tiles * 16 * word + 16 * word,
        stream_bits=32 * 4 * 16 * 8 + 5 * 64,
    )


def test_energy_of_counts_by_hand() -> None:
    program = lower(one_layer(np.zeros((16, 2), dtype=np.bool_)), PARAMETERS)
    done, spent = activity(program), energy(program)
    assert spent.adders == spent.accumulators == spent.windows == 0
    assert spent.streams == pytest.approx(done.stream_bits * 1.3 / 64)
    assert spent.features == pytest.approx((done.feature_read_bits + done.feature_write_bits) * 0.010 / 64)
    assert spent.total == pytest.approx(sum(asdict(spent).values())) and spent.core == spent.total - spent.streams
    one = np.zeros((16, 2), dtype=np.bool_)
    one[0, 0] = True
    adders = energy(lower(one_layer(one), PARAMETERS)).adders
    assert adders == pytest.approx(4 * 16 * 144 * (0.03 + 4 / 24 * 0.07) / 1000)  # 12-bit additions


@pytest.mark.parametrize("seed", range(6))
def test_every_group_costs_what_it_issues_and_more(seed: int) -> None:
    network = random_network(
        np.random.default_rng(seed), max_size=8, max_channels=32, group_channels=PARAMETERS.group_channels
    )
    parameters = fitting_parameters(network, PARAMETERS)
    sparse, dense = lower(network, parameters), lower(network, parameters, every_group=True)
    for program in (sparse, dense):
        issued = sum(layer.tiles * layer.nonzero_groups for layer in issued_groups(program))
        assert activity(program).accumulations == 16 * issued
    few, all_of_them = asdict(energy(sparse)), asdict(energy(dense))
    assert all(few[name] <= all_of_them[name] for name in few)
    same = ("requantisers", "streams")
    assert [few[name] for name in same] == [all_of_them[name] for name in same]


def test_half_the_groups_of_a_resnet_save_most_of_half_the_additions() -> None:
    sparse, dense = (
        energy(lower(network, fitting_parameters(network, PARAMETERS)))
        for network in (resnet_network(20, zero, group_channels=PARAMETERS.group_channels) for zero in (0.5, 0.0))
    )
    assert 0.5 < sparse.adders / dense.adders < 0.55
    assert isinstance(sparse, Energy) and sparse.total < dense.total


def test_wider_activations_cost_more() -> None:
    narrow = resnet_network(20, 0.5, group_channels=PARAMETERS.group_channels)
    wide = resnet_network(20, 0.5, activation_bits=16, group_channels=PARAMETERS.group_channels)
    few = energy(lower(narrow, PARAMETERS))
    many = energy(lower(wide, replace(PARAMETERS, activation_bits=16)))
    assert all(asdict(few)[name] <= asdict(many)[name] for name in asdict(few))
