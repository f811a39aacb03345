"""What every accelerator does, whatever it is made of: each function takes one that has just been reset.

They run on the reference device with many seeds, and on the simulated hardware. ``PARAMETERS`` are those of a build
that other tests share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from network_samples import changed

from tritforge.cost.cycle_model import predict
from tritforge.device import protocol
from tritforge.device.accelerator import Accelerator
from tritforge.device.entries import entries_of
from tritforge.device.protocol import Read, Steps, Write
from tritforge.device.reference.program_state import RENEW_CYCLES
from tritforge.device.reference_device import reference_accelerator
from tritforge.device.streams import Result
from tritforge.errors import DeviceError, PatchError
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.network.reference import logits
from tritforge.network.trit_order import trit_count
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import ADDRESS_BITS, ENTRY_BUS_WORDS, ENTRY_SPACE_LOW, SPACES, TABLE
from tritforge.patches.patch import diff
from tritforge.samples.random_network import random_images, random_network

PARAMETERS = AcceleratorParameters(pes=4, group_channels=8, pass_outputs=32, staging=64)
IMAGES = 3
COMMIT_CYCLES = 3
"""Cycles of a commit beyond one a word."""

Random = np.random.Generator


def some_network(rng: Random, trits: int = 100) -> Network:
    """A small network with at least so many trits."""
    while True:
        network = random_network(rng, max_size=7, max_channels=16, blocks=2, group_channels=8)
        if trit_count(network) >= trits:
            return network


def other_network(rng: Random, network: Network, ratio: float) -> Network:
    """The network with that ratio of its trits, and as many of its affine entries, changed."""
    return changed(network, int(rng.integers(1 << 30)), ratio, ratio)


def assert_results(results: list[Result], network: Network, images: np.ndarray, version: int, first: int) -> None:
    assert np.array_equal([result.logits for result in results], logits(network, images))
    assert [result.version for result in results] == [version] * len(images)
    assert [result.sequence for result in results] == list(range(first, first + len(images)))
    assert [result.last for result in results] == [False] * (len(images) - 1) + [True]


def assert_holds(accelerator: Accelerator, network: Network, version: int) -> None:
    """State, version and every word are those of ``network``."""
    assert accelerator.state() is State.VALID and accelerator.version() == version
    program = accelerator.program
    assert program is not None
    for space, words in accelerator.read_back().items():
        assert np.array_equal(words, program.images[space]), space
    assert accelerator.digest() == program.digest
    assert program.network_digest == network_digest(network)


def images_give_the_logits_of_the_reference(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    images = random_images(rng, network, IMAGES)
    accelerator.check()
    accelerator.load(network, version=7)
    assert_holds(accelerator, network, 7)
    assert_results(accelerator.infer(images), network, images, 7, first=0)
    assert_results(accelerator.infer(images[:1]), network, images[:1], 7, first=IMAGES)
    assert accelerator.do(protocol.read_register(Register.EVENTS)) & rm.EVENTS_BATCH_DONE.mask


def every_group_may_be_issued(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    images = random_images(rng, network, 1)
    issued = []
    for version, every_group in enumerate((False, True), start=1):
        accelerator.load(network, version, every_group)
        accelerator.clear_counters()
        assert_results(accelerator.infer(images), network, images, version, first=version - 1)
        issued.append(accelerator.counters())
    assert issued[0]["groups_issued"] + issued[0]["groups_skipped"] == issued[1]["groups_issued"]
    assert issued[1]["groups_skipped"] == 0


def cycles_are_those_of_the_cycle_model(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    accelerator.load(network, version=1)
    assert accelerator.program is not None
    prediction = predict(accelerator.program)
    accelerator.infer(random_images(rng, network, 1))
    alone = accelerator.layer_counters()
    assert accelerator.counters()["last_latency"] == prediction.latency_cycles
    assert {name: counts["cycles"] for name, counts in alone.items()} == {
        layer.name: layer.alone_cycles for layer in prediction.layers
    }
    assert {name: counts["issued"] for name, counts in alone.items()} == {
        layer.name: layer.issued for layer in prediction.layers
    }
    ends = [result.cycle for result in accelerator.infer(random_images(rng, network, 8))]
    assert [later - sooner for sooner, later in pairwise(ends)] == pytest.approx(prediction.distances, abs=8)


def counters_count_on(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    accelerator.load(network, version=1)
    accelerator.clear_counters()
    before = accelerator.counters()
    assert before["images_started"] == before["images_done"] == before["groups_issued"] == 0
    for done in range(1, 4):
        accelerator.infer(random_images(rng, network, 1))
        after = accelerator.counters()
        assert after["images_started"] == after["images_done"] == done
        assert all(after[name] >= before[name] for name in before if name != "last_latency")
        assert after["cycles"] > before["cycles"] and after["last_latency"] > 0
        issued = sum(layer["issued"] for layer in accelerator.layer_counters().values())
        assert after["groups_issued"] == done * issued
        stalls = sum(after[name] for name in ("stall_windows", "stall_accumulators", "stall_schedule"))
        assert after["busy_cycles"] == after["groups_issued"] + stalls
        before = after


def a_small_patch_is_staged_between_images(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    new = other_network(rng, network, 8 / trit_count(network))
    images = random_images(rng, network, IMAGES)
    accelerator.load(network, version=1)
    assert_results(accelerator.infer(images), network, images, 1, first=0)
    update = accelerator.prepare(network, diff(network, new, version=4))
    applied = accelerator.apply(update)
    assert (applied.mode, applied.version, applied.words_written) == ("staged", 4, update.entries.size)
    assert applied.words_written <= PARAMETERS.staging
    assert applied.pause_cycles == max(applied.words_written, 1) + COMMIT_CYCLES
    assert_holds(accelerator, new, 4)
    assert_results(accelerator.infer(images), new, images, 4, first=IMAGES)


def a_large_patch_stops_the_array(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng, trits=1500)
    new = other_network(rng, network, 0.5)
    images = random_images(rng, network, IMAGES)
    accelerator.load(network, version=1)
    update = accelerator.prepare(network, diff(network, new, version=2))
    applied = accelerator.apply(update)
    assert (applied.mode, applied.version, applied.words_written) == ("stopped", 2, update.entries.size)
    assert applied.words_written > PARAMETERS.staging and 0 < applied.pause_cycles < 1 << 24
    assert_holds(accelerator, new, 2)
    assert_results(accelerator.infer(images), new, images, 2, first=0)


def refused_patches_leave_everything(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    new = other_network(rng, network, 0.01)
    other = other_network(rng, network, 0.1)
    images = random_images(rng, network, IMAGES)
    patch = diff(network, new, version=3)
    accelerator.load(network, version=2)
    for damaged in (patch[:-1], patch[:-1] + bytes([patch[-1] ^ 1]), diff(other, network, version=3)):
        with pytest.raises(PatchError):
            accelerator.prepare(network, damaged)
    with pytest.raises(PatchError, match="version is 2; it must be higher than the accelerator's 2"):
        accelerator.apply(accelerator.prepare(network, diff(network, new, version=2)))
    assert_holds(accelerator, network, 2)
    with pytest.raises(DeviceError, match="does not hold the network that the patch starts from"):
        accelerator.apply(accelerator.prepare(other, diff(other, network, version=3)))
    assert_holds(accelerator, network, 2)
    assert_results(accelerator.infer(images), network, images, 2, first=0)


def updates_follow_each_other(accelerator: Accelerator, rng: Random) -> None:
    network = some_network(rng)
    image = random_images(rng, network, 1)
    accelerator.load(network, version=0)
    for version in range(1, 4):
        new = other_network(rng, network, 0.01)
        update = accelerator.prepare(network, diff(network, new, version))
        accelerator.apply(update)
        network = update.result
        assert_results(accelerator.infer(image), network, image, version, first=version - 1)
    assert_holds(accelerator, network, 3)


def a_reset_empties_the_accelerator(accelerator: Accelerator, rng: Random) -> None:
    for version in (5, 6):
        network = some_network(rng)
        images = random_images(rng, network, IMAGES)
        accelerator.load(network, version)
        assert_results(accelerator.infer(images), network, images, version, first=0)
        accelerator.reset()
        assert accelerator.state() is State.EMPTY and accelerator.version() == 0
        assert accelerator.counters()["images_done"] == 0
        with pytest.raises(DeviceError, match="no network is loaded"):
            accelerator.infer(images)
        update = accelerator.prepare(network, diff(network, other_network(rng, network, 0.01), 9))
        with pytest.raises(DeviceError, match="the accelerator's state is empty"):
            accelerator.apply(update)


def networks_are_loaded_over_each_other(accelerator: Accelerator, rng: Random) -> None:
    first = 0
    for version, count in enumerate((3, 2, 1), start=1):
        network = some_network(rng)
        images = random_images(rng, network, count)
        accelerator.load(network, version)
        assert_results(accelerator.infer(images), network, images, version, first)
        first += count


def a_staged_descriptor_is_fetched_again(accelerator: Accelerator, rng: Random) -> None:
    """The same descriptor words once more: the pause grows by the fetch, the logits stay."""
    network = some_network(rng)
    images = random_images(rng, network, IMAGES)
    accelerator.load(network, version=1)
    assert accelerator.program is not None
    for count, fetch in ((0, 0), (1, RENEW_CYCLES), (9, RENEW_CYCLES)):
        words = accelerator.program.images["descriptors"][:count]
        accelerator.do(protocol.stage(entries_of("descriptors", np.arange(count), words)))
        assert accelerator.do(protocol.commit(2 + count)) == max(count, 1) + COMMIT_CYCLES + fetch
        assert accelerator.version() == 2 + count
    assert_results(accelerator.infer(images), network, images, 11, first=0)


def accesses_are_answered_as_by_the_reference_device(accelerator: Accelerator, rng: Random) -> None:
    """Random accesses and commands, each done on a reference device as well: answers, refusals and events are equal."""
    twin = reference_accelerator(PARAMETERS, seed=int(rng.integers(1 << 30)))
    network = some_network(rng)
    both = accelerator, twin
    staged = np.concatenate([entries_of(space, np.arange(16), rng.integers(1 << 32, size=16)) for space in SPACES])
    for each in both:
        each.load(network, version=1)
        each.do(protocol.stage(staged))
        each.do(protocol.write_register(Register.EVENTS, 0x3F))
    for _ in range(200):
        access = some_access(rng)
        told = [outcome(each, access) for each in both]
        assert told[0] == told[1]
        events = [each.do(protocol.read_register(Register.EVENTS)) for each in both]
        assert events[0] == events[1]
    for space in SPACES:
        assert np.array_equal(*(each.do(protocol.read_words(space, np.arange(8))) for each in both))
    assert np.array_equal(*(each.do(protocol.read_staging(staged.size)) for each in both))


PLAIN = (Register.CONTROL, Register.NEXT_VERSION, Register.STAGED, Register.BATCH, Register.INTERRUPT_ENABLE)
"""Registers that hold what is written."""
TOLD = (Register.ID, Register.ARRAY, Register.TABLES, Register.STATE, Register.VERSION, Register.COMMIT_PAUSE)
"""Registers that only the hardware changes."""
UNMAPPED = (0x3C, 0x68, 0xFFC, 0x2000, 0x24000, 0x38000, 0x50000)
BEYOND = tuple(space.window.base + 4 * (space.window.words - 1) for space in TABLE)
"""Last words of the windows, behind the ends of the memories."""
PLACE_WORD = 2
"""Word of a staging entry that names its place, and stores it."""


def some_access(rng: Random) -> Callable[[], Steps[Any]]:
    """One access or command, which does the same whenever it is called."""
    value, small = int(rng.integers(1 << 32)), int(rng.integers(80))
    space = TABLE[rng.integers(len(TABLE))]
    word = space.window.base + 4 * int(rng.integers(8))
    index = int(rng.integers(ENTRY_BUS_WORDS * (PARAMETERS.staging + 2)))
    staged = rm.STAGING.base + 4 * index
    address = int(rng.choice([small % 8, (1 << ADDRESS_BITS) - 1]))
    place = int(rng.integers(len(TABLE) + 2)) << ENTRY_SPACE_LOW | address
    part = place if index % ENTRY_BUS_WORDS == PLACE_WORD else value

    def one(offsets: Sequence[int]) -> int:
        return int(offsets[value % len(offsets)])

    def loading() -> Steps[int]:
        yield from protocol.open_memories()
        return (yield from read(Register.STATE))

    def committing() -> Steps[int]:
        yield from write(Register.STAGED, small)
        return (yield from protocol.commit(value))

    accesses: Sequence[Callable[[], Steps[Any]]] = (
        lambda: read(one((*PLAIN, *TOLD, Register.COMMAND))),
        lambda: write(one((*PLAIN[1:], *TOLD)), value),
        lambda: read(one(UNMAPPED)),
        lambda: write(one(UNMAPPED), value),
        lambda: read(one(BEYOND)),
        lambda: write(one(BEYOND), value),
        lambda: read(word),
        lambda: write(word, value),
        lambda: read(staged),
        lambda: write(staged, part),
        committing,
        loading,
        lambda: protocol.activate(value),
        lambda: protocol.command(rm.COMMAND_ACTIVATE, value),
    )
    weights = np.array([2, 2, 1, 1, 1, 1, 1, 3, 1, 4, 3, 1, 2, 1])
    return accesses[rng.choice(len(accesses), p=weights / weights.sum())]


def read(offset: int) -> Steps[int]:
    """One word."""
    return int((yield Read(offset))[0])


def write(offset: int, word: int) -> Steps[None]:
    """One word."""
    yield Write(offset, np.array([word], dtype=np.uint32))


def outcome(accelerator: Accelerator, access: Callable[[], Steps[Any]]) -> Any:
    """What an access gives, or that it is refused."""
    try:
        return accelerator.do(access())
    except DeviceError:
        return "refused"


SCENARIOS = (
    images_give_the_logits_of_the_reference,
    every_group_may_be_issued,
    cycles_are_those_of_the_cycle_model,
    counters_count_on,
    a_small_patch_is_staged_between_images,
    a_large_patch_stops_the_array,
    refused_patches_leave_everything,
    updates_follow_each_other,
    a_reset_empties_the_accelerator,
    networks_are_loaded_over_each_other,
    a_staged_descriptor_is_fetched_again,
    accesses_are_answered_as_by_the_reference_device,
)
