"""The whole accelerator over AXI4-Lite and its streams: images, skipping, patches and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tritforge.compress.data.digits import load_digits
from tritforge.cost.cycle_model import predict
from tritforge.network.file import load_network
from tritforge.network.network import Network
from tritforge.network.trit_order import network_trits, trit_count, with_trits
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.patches.patch import diff
from tritforge.samples.random_network import random_images, random_layer_network, random_network
from tritforge.sim.runs.accelerator import AcceleratorJob, Inference

DIGITS = Path(__file__).parents[3] / "reports" / "networks" / "digits.safetensors"
PARAMETERS = AcceleratorParameters(pes=16)


def network_with_trits(seed: int, at_least: int) -> Network:
    """The first random network from ``seed`` on that stores enough trits to be worth patching."""
    while True:
        network = random_network(
            np.random.default_rng(seed), max_size=9, max_channels=32, group_channels=PARAMETERS.group_channels
        )
        if trit_count(network) >= at_least and len(np.unique(logit_rows(network), axis=0)) > 1:
            return network
        seed += 1


def logit_rows(network: Network) -> np.ndarray:
    """Logits of a few images: a network whose logits never change would hide a wrong patch."""
    from tritforge.network.reference import logits

    return logits(network, random_images(np.random.default_rng(0), network, 4))


def changed(network: Network, seed: int, count: int) -> Network:
    """The network with ``count`` stored trits moved to another value."""
    rng = np.random.default_rng(seed)
    trits = network_trits(network)
    where = rng.choice(trits.size, count, replace=False)
    trits[where] = (trits[where] + 1 + rng.integers(1, 3, count)) % 3 - 1
    return with_trits(network, trits)


def assert_exact(run: Inference, version: int) -> None:
    assert run.words > 0
    assert run.mismatching_words == 0, run.differing
    assert set(run.versions) == {version}
    assert run.counters["cycles"] == run.counters["simulator_cycles"]
    assert run.counters["images_done"] == run.images
    assert run.counters["groups_issued"] == run.images * sum(layer["issued"] for layer in run.layers.values())


@pytest.fixture(scope="module")
def patched() -> tuple[list, dict[str, int], Network]:
    """One simulation: a network with and without skipping, refused patches, an accepted one, the network after it."""
    rng = np.random.default_rng(5)
    network = network_with_trits(40, 2000)
    images = random_images(rng, network, 6)
    new = changed(network, 6, 60)
    patch = diff(network, new, version=2)
    flipped = bytearray(patch)
    flipped[len(patch) // 2] ^= 0x10
    other = changed(network, 7, 5)
    job = AcceleratorJob(PARAMETERS)
    steps = {}
    job.load(network, version=1, every_group=True)
    steps["dense"] = job.infer(images)
    job.load(network, version=1)
    steps["sparse"] = job.infer(images)
    steps["truncated"] = job.patch(patch[:-3], network, accepted=False)
    steps["flipped"] = job.patch(bytes(flipped), network, accepted=False)
    steps["other base"] = job.patch(diff(other, changed(other, 8, 5), version=2), network, accepted=False)
    steps["still old"] = job.infer(images)
    steps["accepted"] = job.patch(patch, network)
    steps["new"] = job.infer(images)
    steps["replayed"] = job.patch(patch, new, accepted=False)
    return job.run(seed=9), steps, network


def test_every_word_of_every_map(patched: tuple) -> None:
    outcome, steps, _ = patched
    assert_exact(outcome[steps["sparse"]], 1)
    assert_exact(outcome[steps["dense"]], 1)


def test_skipping_saves_cycles_and_counts_them(patched: tuple) -> None:
    outcome, steps, _ = patched
    sparse, dense = outcome[steps["sparse"]], outcome[steps["dense"]]
    assert sparse.counters["groups_issued"] < dense.counters["groups_issued"]
    assert sparse.latency_cycles < dense.latency_cycles
    assert dense.counters["groups_skipped"] == 0
    assert sparse.counters["groups_issued"] + sparse.counters["groups_skipped"] == dense.counters["groups_issued"]


@pytest.mark.parametrize("case", ["truncated", "flipped", "other base", "replayed"])
def test_a_bad_patch_is_refused_in_one_sentence(patched: tuple, case: str) -> None:
    outcome, steps, _ = patched
    refusal = outcome[steps[case]]["refused"]
    assert refusal and "\n" not in refusal
    assert outcome[steps[case]]["version"] == (2 if case == "replayed" else 1)


def test_refused_patches_leave_the_old_network_running(patched: tuple) -> None:
    outcome, steps, _ = patched
    assert_exact(outcome[steps["still old"]], 1)


def test_an_accepted_patch_gives_the_new_network(patched: tuple) -> None:
    outcome, steps, _ = patched
    applied = outcome[steps["accepted"]]
    assert applied["mode"] == "staged" and applied["version"] == 2
    assert 0 < applied["words_written"] <= 60
    assert applied["pause_cycles"] <= applied["words_written"] + 32
    assert_exact(outcome[steps["new"]], 2)
    assert not np.array_equal(outcome[steps["new"]].classes, []) and outcome[steps["new"]].images == 6


def test_programs_follow_each_other_after_odd_numbers_of_images() -> None:
    job, steps = AcceleratorJob(PARAMETERS), []
    for version, count in enumerate((5, 3, 4), start=1):
        network = network_with_trits(70 + version, 500)
        job.load(network, version=version)
        steps.append(job.infer(random_images(np.random.default_rng(version), network, count)))
    outcome = job.run(seed=2)
    for version, step in enumerate(steps, start=1):
        assert_exact(outcome[step], version)


def test_the_recorded_digits_network_on_real_images() -> None:
    network = load_network(DIGITS)
    test = load_digits().test
    job = AcceleratorJob(PARAMETERS)
    job.load(network)
    steps = job.infer(test.images[:1]), job.infer(test.images[:24])
    outcome = job.run(seed=11)
    alone, run = (outcome[step] for step in steps)
    assert_exact(alone, 1)
    assert_exact(run, 1)
    prediction = predict(lower(network, PARAMETERS))
    assert alone.latency_cycles == prediction.latency_cycles
    assert sum(layer["cycles"] for layer in run.layers.values()) == pytest.approx(prediction.cycles_per_image, abs=8)
    assert run.accuracy(test.labels[:24]) > 90


def test_a_patch_beyond_the_staging_memory_stops_the_array_and_says_so() -> None:
    rng = np.random.default_rng(1)
    network = random_layer_network(
        rng, "conv3x3", size=(3, 3), channels=64, outputs=64, zero_groups=0.0, group_channels=PARAMETERS.group_channels
    )
    images = random_images(rng, network, 3)
    new = changed(network, 9, 4000)
    job = AcceleratorJob(PARAMETERS)
    job.load(network, version=4)
    before = job.infer(images)
    patch = job.patch(diff(network, new, version=5), network)
    after = job.infer(images)
    outcome = job.run()
    assert outcome[patch]["mode"] == "stopped"
    assert outcome[patch]["words_written"] > PARAMETERS.staging
    assert outcome[patch]["pause_cycles"] > outcome[patch]["words_written"]
    assert_exact(outcome[before], 4)
    assert_exact(outcome[after], 5)
