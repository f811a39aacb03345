"""Random layers and networks on the compute core against the reference model, in any number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.network.network import Network
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.sim.runs.core import simulate_core

ZERO_GROUPS = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
JOBS_PER_SIMULATION = 40

Job = tuple[Network, NDArray]


@dataclass(frozen=True)
class Equality:
    """How many layers and networks ran, with how many images; words compared, and how many of them differ."""

    layers: int
    networks: int
    images: int
    words: int
    mismatching_words: int


def random_layers(count: int, bits: int, seed: int, group_channels: int, images: int = 2) -> Iterator[Job]:
    """Single layers of every kind at every sparsity; some wider than a pass, some of several 1x1 groups."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        kind, zero_groups = KINDS[index % len(KINDS)], ZERO_GROUPS[index // len(KINDS) % len(ZERO_GROUPS)]
        wide: dict[str, Any] = {"outputs": 96} if kind.startswith("conv") and index % 5 == 0 else {}
        if kind.startswith("conv1x1") and index % 3 == 0:
            wide["channels"] = 160
        network = random_layer_network(
            rng, kind, activation_bits=bits, zero_groups=zero_groups, group_channels=group_channels, **wide
        )
        yield network, random_images(rng, network, images)


def random_networks(count: int, bits: int, seed: int, group_channels: int, images: int = 3) -> Iterator[Job]:
    """Whole networks with a few images each, extremes among them."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        network = random_network(rng, activation_bits=bits, group_channels=group_channels)
        yield network, random_images(rng, network, images)


def check_equality(
    parameters: AcceleratorParameters,
    layers: int,
    networks: int,
    seed: int,
    advance: Callable[[int], object] | None = None,
) -> Equality:
    """Run that many random layers and networks and compare every word of every map.

    Args:
        parameters: the accelerator; its activation width and group shape are the networks'.
        layers: single layers of every kind.
        networks: whole networks.
        seed: of networks, pixels and first values of registers.
        advance: called with the number of further jobs that are done.
    """
    bits = parameters.activation_bits
    jobs = random_layers(layers, bits, seed, parameters.group_channels)
    whole = random_networks(networks, bits, seed + 1, parameters.group_channels)
    images = words = differing = 0
    for source in (jobs, whole):
        while part := list(islice(source, JOBS_PER_SIMULATION)):
            for (_, pixels), run in zip(part, simulate_core(part, parameters, seed=seed + 1), strict=True):
                images, words, differing = images + len(pixels), words + run.words, differing + run.mismatches
            if advance is not None:
                advance(len(part))
    return Equality(layers, networks, images, words, differing)
