"""Resets under images and accesses to nothing, through the whole accelerator: afterwards every word is right again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tritforge.network.network import Network
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import Register
from tritforge.samples.random_network import random_images, random_network
from tritforge.sim.runs.accelerator import AcceleratorJob, Inference, Interruption

PARAMETERS = AcceleratorParameters(pes=4, group_channels=8, pass_outputs=32, staging=64)
IMAGES = 3
MOMENTS = ("image", "overlap", "result")


def small_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    return random_network(rng, max_size=7, max_channels=16, blocks=2, group_channels=8)


def interrupted(seed: int) -> list[tuple[Interruption, Inference]]:
    """Every kind of reset at every kind of moment, each followed by a program and images."""
    rng = np.random.default_rng(seed)
    job, steps = AcceleratorJob(PARAMETERS), []
    for index, (hard, until, taken) in enumerate(product((False, True), MOMENTS, (True, False))):
        first, second = small_network(int(rng.integers(1 << 30))), small_network(int(rng.integers(1 << 30)))
        job.load(first, version=2 * index + 1)
        cut = job.interrupt(random_images(rng, first, 8), hard, until, int(rng.integers(0, 60)), taken)
        job.load(second, version=2 * index + 2)
        steps.append((cut, job.infer(random_images(rng, second, IMAGES))))
    outcome = job.run(seed=seed)
    return [(outcome[cut], outcome[after]) for cut, after in steps]


def assert_recovered(runs: list[tuple[Interruption, Inference]]) -> None:
    for index, (cut, after) in enumerate(runs):
        assert cut.differing == 0
        assert after.words > 0 and after.mismatching_words == 0, after.differing
        assert after.images == IMAGES and set(after.versions) == {2 * index + 2}


def test_a_reset_under_images_leaves_nothing_behind() -> None:
    runs = interrupted(3)
    assert_recovered(runs)
    cuts = [cut for cut, _ in runs]
    assert {cut.in_array for cut in cuts} >= {1, 2}
    assert any(cut.beat_waits for cut in cuts) and any(cut.result_waits for cut in cuts)
    assert any(cut.images > cut.results for cut in cuts)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 28))
def test_resets_at_other_moments(seed: int) -> None:
    assert_recovered(interrupted(seed))


def test_accesses_to_nothing_are_answered_with_an_error_and_change_nothing() -> None:
    unmapped = [0x3C, 0x68, 0xFFC, 0x2000, 0x24000, 0x38000, 0x50000]
    read_only = [Register.ID, Register.STATE, Register.VERSION, Register.CYCLES, rm.LAYER_COUNTERS.base]
    network = small_network(1)
    job = AcceleratorJob(PARAMETERS)
    job.load(network, version=9)
    refused = job.access(reads=[*unmapped, Register.COMMAND], writes=[*unmapped, *read_only])
    allowed = job.access(reads=[Register.ID, rm.WEIGHTS.base], writes=[Register.BATCH, rm.WEIGHTS.base])
    cleared = job.access(writes=[Register.EVENTS])
    job.load(network, version=10)
    step = job.infer(random_images(np.random.default_rng(1), network, IMAGES))
    outcome = job.run(seed=4)
    assert set(outcome[refused]["reads"]) == set(outcome[refused]["writes"]) == {"SLVERR"}
    assert set(outcome[allowed]["reads"]) == set(outcome[allowed]["writes"]) == {"OKAY"}
    assert outcome[cleared]["writes"] == ["OKAY"]
    assert outcome[step].mismatching_words == 0 and set(outcome[step].versions) == {10}
