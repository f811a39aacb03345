"""The compute core equals the reference model word for word, in every map, over random layers and networks."""

from __future__ import annotations

import numpy as np
import pytest

from tritforge.network import Network
from tritforge.parameters import AcceleratorParameters
from tritforge.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.sim.core_simulation import CoreRun, simulate_core

P16 = AcceleratorParameters(pes=16, slots=8192)
P8_16_BITS = AcceleratorParameters(pes=8, activation_bits=16, slots=8192)
ZERO_GROUPS = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def assert_equal(jobs: list[tuple[Network, np.ndarray]], runs: list[CoreRun]) -> None:
    """Every image was run, every word compared, none differs."""
    for (network, images), run in zip(jobs, runs, strict=True):
        per_image = sum(int(np.prod(network.shapes[layer.name])) for layer in network.layers)
        assert run.words == per_image * len(images)
        assert run.mismatches == 0, run.differing


def random_layers(count: int, bits: int, seed: int) -> list[tuple[Network, np.ndarray]]:
    """Single layers of every kind at every sparsity; some wider than a pass, some of several 1x1 groups."""
    jobs = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        kind, zero_groups = KINDS[index % len(KINDS)], ZERO_GROUPS[index // len(KINDS) % len(ZERO_GROUPS)]
        wide = {"outputs": 96} if kind.startswith("conv") and index % 5 == 0 else {}
        if kind.startswith("conv1x1") and index % 3 == 0:
            wide["channels"] = 160
        network = random_layer_network(rng, kind, activation_bits=bits, zero_groups=zero_groups, **wide)
        jobs.append((network, random_images(rng, network, 2)))
    return jobs


def random_networks(count: int, bits: int, seed: int, group_channels: int = 16) -> list[tuple[Network, np.ndarray]]:
    """Whole networks with a few images each, extremes among them."""
    jobs = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        network = random_network(rng, activation_bits=bits, group_channels=group_channels)
        jobs.append((network, random_images(rng, network, 3)))
    return jobs


def test_random_layers() -> None:
    jobs = random_layers(64, 8, seed=11)
    assert_equal(jobs, simulate_core(jobs, P16, seed=3))


def test_random_networks() -> None:
    jobs = random_networks(12, 8, seed=12)
    assert_equal(jobs, simulate_core(jobs, P16, seed=4))


def test_sixteen_bits() -> None:
    jobs = random_layers(24, 16, seed=13) + random_networks(4, 16, seed=14)
    assert_equal(jobs, simulate_core(jobs, P8_16_BITS, seed=5))


def test_issuing_every_group_changes_cycles_alone() -> None:
    jobs = random_networks(4, 8, seed=15)
    skipping, dense = simulate_core(jobs, P16), simulate_core(jobs, P16, every_group=True)
    assert_equal(jobs, skipping)
    assert_equal(jobs, dense)
    for sparse_run, dense_run in zip(skipping, dense, strict=True):
        assert dense_run.counters[0]["issued"] > sparse_run.counters[0]["issued"]
        assert dense_run.counters[0]["cycles"] > sparse_run.counters[0]["cycles"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        AcceleratorParameters(pes=4, slots=8192),
        AcceleratorParameters(pes=32, slots=8192, pass_outputs=32),
        AcceleratorParameters(pes=8, slots=8192, pass_outputs=128, group_channels=8),
        AcceleratorParameters(pes=4, activation_bits=16, slots=8192, group_channels=8),
    ],
    ids=lambda p: f"P{p.pes}_C{p.group_channels}_A{p.activation_bits}_N{p.pass_outputs}",
)
def test_other_builds(parameters: AcceleratorParameters) -> None:
    jobs = random_networks(16, parameters.activation_bits, 16, parameters.group_channels)
    assert_equal(jobs, simulate_core(jobs, parameters))
