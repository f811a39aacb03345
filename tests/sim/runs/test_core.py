"""The compute core equals the reference model word for word, in every map, over random layers and networks."""

from __future__ import annotations

import numpy as np
import pytest

from tritforge.network.network import Network
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.measure.equality import check_equality, random_layers, random_networks
from tritforge.sim.runs.core import CoreRun, simulate_core

P16 = AcceleratorParameters(pes=16, slots=8192)
P8_16_BITS = AcceleratorParameters(pes=8, activation_bits=16, slots=8192)


def assert_equal(jobs: list[tuple[Network, np.ndarray]], runs: list[CoreRun]) -> None:
    """Every image was run, every word compared, none differs."""
    for (network, images), run in zip(jobs, runs, strict=True):
        per_image = sum(int(np.prod(network.shapes[layer.name])) for layer in network.layers)
        assert run.words == per_image * len(images)
        assert run.mismatches == 0, run.differing


def test_random_layers() -> None:
    jobs = list(random_layers(64, 8, 11, P16.group_channels))
    assert_equal(jobs, simulate_core(jobs, P16, seed=3))


def test_random_networks() -> None:
    jobs = list(random_networks(12, 8, 12, P16.group_channels))
    assert_equal(jobs, simulate_core(jobs, P16, seed=4))


def test_sixteen_bits() -> None:
    size = P8_16_BITS.group_channels
    jobs = [*random_layers(24, 16, 13, size), *random_networks(4, 16, 14, size)]
    assert_equal(jobs, simulate_core(jobs, P8_16_BITS, seed=5))


def test_issuing_every_group_changes_cycles_alone() -> None:
    jobs = list(random_networks(4, 8, 15, P16.group_channels))
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
    jobs = list(random_networks(16, parameters.activation_bits, 16, parameters.group_channels))
    assert_equal(jobs, simulate_core(jobs, parameters))


@pytest.mark.slow
@pytest.mark.parametrize("group_channels", [8, 16])
def test_equality_runs_what_it_counts(group_channels: int) -> None:
    parameters = AcceleratorParameters(pes=8, slots=8192, pass_outputs=128, group_channels=group_channels)
    told = check_equality(parameters, layers=16, networks=2, seed=17)
    assert (told.layers, told.networks, told.images, told.mismatching_words) == (16, 2, 16 * 2 + 2 * 3, 0)
    assert told.words > 0
