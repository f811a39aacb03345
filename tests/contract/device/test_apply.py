"""Applying an update to a device that is right, and over buses that are not: what is told, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS, other_network, some_network
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.device import protocol
from tritforge.device.apply import AppliedUpdate, apply_update
from tritforge.device.protocol import drive
from tritforge.device.reference_device import FreeRunning, ReferenceDevice
from tritforge.device.update import PreparedUpdate, prepare_update
from tritforge.errors import DeviceError, PatchError, TritforgeError
from tritforge.network.network import Network
from tritforge.overlay import register_map as rm
from tritforge.overlay.lowering import lower
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import SPACES, BusWords
from tritforge.patches.patch import diff


def small(network: Network) -> OverlayProgram:
    return lower(network, PARAMETERS)


RNG = np.random.default_rng(11)
BASE = some_network(RNG)
UPDATE = prepare_update(BASE, diff(BASE, other_network(RNG, BASE, 0.02), 5), small)
LARGE_BASE = some_network(RNG, trits=1500)
LARGE = prepare_update(LARGE_BASE, diff(LARGE_BASE, other_network(RNG, LARGE_BASE, 0.5), 5), small)
UPDATES = {"staged": UPDATE, "stopped": LARGE}


def loaded(update: PreparedUpdate, kind: type[FreeRunning] = FreeRunning) -> FreeRunning:
    """A device behind a bus of this kind that holds the update's base network as version 0."""
    bus = kind(ReferenceDevice(PARAMETERS))
    drive(protocol.load_program(update.base_program, 0), bus)
    return bus


def holds(bus: FreeRunning, program: OverlayProgram) -> bool:
    held = bus.device.memories.images
    return all(np.array_equal(held[space][: words.size], words) for space, words in program.images.items())


def state_and_version(bus: FreeRunning) -> tuple[State, int]:
    return drive(protocol.state(), bus), drive(protocol.version(), bus)


@pytest.mark.parametrize("mode", ["staged", "stopped"])
def test_an_update_is_applied(mode: str) -> None:
    update = UPDATES[mode]
    bus = loaded(update)
    applied = drive(apply_update(update), bus)
    assert (applied.mode, applied.version, applied.words_written) == (mode, 5, update.entries.size)
    assert holds(bus, update.result_program) and state_and_version(bus) == (State.VALID, 5)


@pytest.mark.parametrize(("beyond", "mode"), [(0, "staged"), (1, "stopped")])
def test_an_update_that_fills_the_staging_memory_is_staged_and_a_larger_one_is_not(beyond: int, mode: str) -> None:
    """The words are those of positions that :data:`LARGE` changes: as many of its entries as are wanted."""
    entries = LARGE.entries[: PARAMETERS.staging + beyond]
    images = {space: words.copy() for space, words in LARGE.base_program.images.items()}
    for entry in entries:
        images[SPACES[entry["space"]]][entry["address"]] = entry["word"]
    result = replace(LARGE.base_program, images=images)
    bus = loaded(LARGE)
    applied = drive(apply_update(replace(LARGE, entries=entries, result_program=result)), bus)
    assert (applied.mode, applied.words_written) == (mode, entries.size)
    assert holds(bus, result) and state_and_version(bus) == (State.VALID, 5)


def test_an_update_without_changes_raises_the_version() -> None:
    update = prepare_update(BASE, diff(BASE, BASE, 1), small)
    bus = loaded(update)
    assert drive(apply_update(update), bus) == AppliedUpdate(1, 0, 4, "staged")
    assert holds(bus, update.base_program) and state_and_version(bus) == (State.VALID, 1)


class ShiftedClock(FreeRunning):
    """A device whose counter of cycles did not begin at 0."""

    shift = 0

    def read(self, offset: int, count: int) -> BusWords:
        words = super().read(offset, count).copy()
        if offset == Register.CYCLES:
            words[0] = (int(words[0]) + self.shift) % 2**32
        return words


PAUSE = drive(apply_update(LARGE), loaded(LARGE)).pause_cycles


@settings(deadline=None)
@given(st.one_of(st.integers(2**32 - 60, 2**32 - 1), st.integers(0, 2**32 - 1)))
def test_a_pause_is_told_across_the_wrap_of_the_counter(shift: int) -> None:
    bus = loaded(LARGE, ShiftedClock)
    bus.shift = shift  # type: ignore[attr-defined]
    assert drive(apply_update(LARGE), bus).pause_cycles == PAUSE


class Untouched(FreeRunning):
    """Fails the test at any write but that of an event."""

    armed = False

    def write(self, offset: int, words: BusWords) -> None:
        assert not self.armed or offset == Register.EVENTS, f"0x{offset:05X} was written"
        super().write(offset, words)


def at_version(bus: FreeRunning) -> None:
    drive(protocol.load_program(UPDATE.base_program, 5), bus)


def stopped(bus: FreeRunning) -> None:
    drive(protocol.open_memories(), bus)


def emptied(bus: FreeRunning) -> None:
    drive(protocol.soft_reset(), bus)


@pytest.mark.parametrize(
    ("before", "error", "words"),
    [
        (at_version, PatchError, "version is 5; it must be higher than the accelerator's 5"),
        (stopped, DeviceError, "the accelerator's state is loading; a patch needs a valid network"),
        (emptied, DeviceError, "the accelerator's state is empty; a patch needs a valid network"),
    ],
)
def test_what_is_refused_leaves_the_accelerator_alone(
    before: Callable[[FreeRunning], None], error: type[TritforgeError], words: str
) -> None:
    bus = loaded(UPDATE, Untouched)
    before(bus)
    bus.armed = True  # type: ignore[attr-defined]
    with pytest.raises(error, match=words):
        drive(apply_update(UPDATE), bus)


def test_any_other_word_in_the_accelerator_is_noticed() -> None:
    for row in UPDATE.entries:
        bus = loaded(UPDATE, Untouched)
        bus.device.memories.images[SPACES[row["space"]]][row["address"]] ^= np.uint64(1)
        bus.armed = True  # type: ignore[attr-defined]
        with pytest.raises(DeviceError, match="does not hold the network that the patch starts from"):
            drive(apply_update(UPDATE), bus)


@dataclass
class Fault:
    """Spoils the ``number``-th write into a stretch of offsets, from when it is armed on."""

    offsets: range
    number: int = 0


class Faulty(FreeRunning):
    """A bus that carries one word of one write wrongly."""

    fault: Fault | None = None

    def write(self, offset: int, words: BusWords) -> None:
        fault = self.fault
        if fault is not None and offset in fault.offsets:
            if fault.number == 0:
                words = words.copy()
                words[0] ^= 1
                self.fault = None
            fault.number -= 1
        super().write(offset, words)


STAGING = range(rm.STAGING.base, rm.STAGING.base + 4 * rm.STAGING.words)
WEIGHTS = range(rm.WEIGHTS.base, rm.WEIGHTS.base + 4 * rm.WEIGHTS.words)
AFFINE = range(rm.AFFINE.base, rm.AFFINE.base + 4 * rm.AFFINE.words)
VERSION = range(Register.NEXT_VERSION, Register.NEXT_VERSION + 1)


@pytest.mark.parametrize(
    ("mode", "fault", "words", "left"),
    [
        ("staged", Fault(STAGING), "nothing was committed", (State.VALID, 0)),
        ("staged", Fault(STAGING, UPDATE.entries.size - 1), "nothing was committed", (State.VALID, 0)),
        ("staged", Fault(VERSION), "tells version 4, state valid; expected 5, valid", (State.VALID, 4)),
        ("stopped", Fault(WEIGHTS), "read back while stopped differ", (State.LOADING, 0)),
        ("stopped", Fault(AFFINE), "read back while stopped differ", (State.LOADING, 0)),
        ("stopped", Fault(VERSION), "tells version 4, state valid; expected 5, valid", (State.VALID, 4)),
    ],
)
def test_a_word_that_went_wrong_is_told(mode: str, fault: Fault, words: str, left: tuple[State, int]) -> None:
    update = UPDATES[mode]
    bus = loaded(update, Faulty)
    bus.fault = Fault(fault.offsets, fault.number)  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match=words):
        drive(apply_update(update), bus)
    assert state_and_version(bus) == left


class WrongCopy(FreeRunning):
    """A device in which a word changes while the commit copies."""

    def write(self, offset: int, words: BusWords) -> None:
        super().write(offset, words)
        if offset == Register.COMMAND and words[0] & rm.COMMAND_COMMIT.mask:
            row = UPDATE.entries[-1]
            self.device.memories.images[SPACES[row["space"]]][row["address"]] ^= np.uint64(1)


def test_a_wrong_copy_stops_the_array() -> None:
    bus = loaded(UPDATE, WrongCopy)
    with pytest.raises(DeviceError, match="read back after the commit differ from the patched network; the array is s"):
        drive(apply_update(UPDATE), bus)
    assert drive(protocol.state(), bus) is State.LOADING
