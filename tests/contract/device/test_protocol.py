"""The register protocol over buses that remember, refuse, and are awaited."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.device import protocol
from tritforge.device.entries import runs
from tritforge.device.protocol import Read, Steps, Write, drive, drive_async
from tritforge.device.reference_device import FreeRunning, ReferenceDevice
from tritforge.errors import DeviceError
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import ENTRY, TABLE, BusWords


class Remembering(FreeRunning):
    """Remembers every access."""

    def __init__(self) -> None:
        super().__init__(ReferenceDevice(PARAMETERS))
        self.accesses: list[tuple[str, int, int]] = []

    def read(self, offset: int, count: int) -> BusWords:
        self.accesses.append(("read", offset, count))
        return super().read(offset, count)

    def write(self, offset: int, words: BusWords) -> None:
        self.accesses.append(("write", offset, words.size))
        super().write(offset, words)


class Awaited:
    """A bus whose accesses let others run first."""

    def __init__(self, bus: Remembering) -> None:
        self.bus = bus

    async def read(self, offset: int, count: int) -> BusWords:
        await asyncio.sleep(0)
        return self.bus.read(offset, count)

    async def write(self, offset: int, words: BusWords) -> None:
        await asyncio.sleep(0)
        self.bus.write(offset, words)


@given(st.lists(st.integers(0, 20), max_size=30))
def test_runs_are_the_longest_stretches_of_neighbours(addresses: list[int]) -> None:
    parts = list(runs(addresses))
    assert [address for first, part in parts for address in range(first, first + part.stop - part.start)] == addresses
    assert [part.start for _, part in parts[1:]] == [part.stop for _, part in parts[:-1]]
    assert all(first != before + part.stop - part.start for (before, part), (first, _) in pairwise(parts))


@settings(deadline=None)
@given(st.data())
def test_words_are_written_and_read_back_in_runs(data: st.DataObject) -> None:
    bus = Remembering()
    drive(protocol.open_memories(), bus)
    for space in TABLE:
        addresses = data.draw(st.lists(st.integers(0, 200), unique=True, max_size=12))
        words = [data.draw(st.integers(0, (1 << space.word_bits) - 1)) for _ in addresses]
        drive(protocol.write_words(space.name, addresses, words), bus)
        bus.accesses.clear()
        assert drive(protocol.read_words(space.name, addresses), bus).tolist() == words
        assert bus.accesses == [
            ("read", space.offset(first), space.bus_words * (part.stop - part.start)) for first, part in runs(addresses)
        ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**18 - 1), st.integers(0, 2**36 - 1)), max_size=20))
def test_staged_entries_read_back(rows: list[tuple[int, int, int]]) -> None:
    bus, entries = Remembering(), np.array(rows, dtype=ENTRY)
    drive(protocol.stage(entries), bus)
    assert np.array_equal(drive(protocol.read_staging(entries.size), bus), entries)
    assert drive(protocol.read_register(Register.STAGED), bus) == entries.size


def test_more_entries_than_staging_holds_are_refused() -> None:
    entries = np.zeros(PARAMETERS.staging + 1, dtype=ENTRY)
    with pytest.raises(DeviceError, match="65 entries do not fit the staging memory"):
        drive(protocol.stage(entries), Remembering())


def test_memories_are_written_only_while_they_are_open() -> None:
    bus = Remembering()
    with pytest.raises(DeviceError, match="the memory affine is closed or too small"):
        drive(protocol.write_words("affine", [0], [1]), bus)
    drive(protocol.open_memories(), bus)
    drive(protocol.write_words("affine", [0], [1]), bus)
    with pytest.raises(DeviceError, match="the memory bitmaps is closed or too small"):
        drive(protocol.write_words("bitmaps", [PARAMETERS.bitmap_words], [1]), bus)
    drive(protocol.activate(3), bus)
    with pytest.raises(DeviceError, match="refused a command in the state valid"):
        drive(protocol.command(protocol.rm.COMMAND_ACTIVATE, 4), bus)


def test_an_awaited_bus_sees_the_same_accesses() -> None:
    def steps() -> Steps[Any]:
        yield from protocol.open_memories()
        yield from protocol.write_words("weights", range(40), range(40))
        yield from protocol.activate(6)
        words = yield from protocol.read_words("weights", range(40))
        return words.tolist(), (yield from protocol.state()), (yield from protocol.version())

    blocking, awaited = Remembering(), Remembering()
    given = drive(steps(), blocking)
    assert given == (list(range(40)), State.VALID, 6)
    assert asyncio.run(drive_async(steps(), Awaited(awaited))) == given
    assert blocking.accesses == awaited.accesses


@pytest.mark.parametrize("awaited", [False, True])
def test_an_answer_that_is_an_error_is_raised_at_its_request(awaited: bool) -> None:
    def steps() -> Steps[list[str]]:
        refusals = []
        for request in (Read(0x3C), Write(int(Register.ID), np.zeros(1, dtype=np.uint32))):
            try:
                yield request
            except DeviceError as error:
                refusals.append(str(error))
        assert (yield Read(Register.ID))[0] == protocol.rm.ID_VALUE
        return refusals

    bus = Remembering()
    told = asyncio.run(drive_async(steps(), Awaited(bus))) if awaited else drive(steps(), bus)
    assert told == [
        "reading 1 word at 0x0003C was answered with SLVERR",
        "writing 1 word at 0x00000 was answered with SLVERR",
    ]


def test_waiting_is_given_up_after_so_many_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "POLLS", 5)
    device = ReferenceDevice(PARAMETERS)  # nothing moves: the memories never open
    reads = 0

    class Still:
        def read(self, offset: int, count: int) -> BusWords:
            nonlocal reads
            reads += offset == Register.STATE
            return device.read(offset, count)

        write = device.write

    with pytest.raises(DeviceError, match="the state loading did not come"):
        drive(protocol.open_memories(), Still())
    assert reads == 5


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_what_a_counter_counted_is_told_across_its_wrap(before: int, count: int) -> None:
    assert protocol.counted(before, (before + count) % 2**32) == count


def test_the_parameters_are_told() -> None:
    told = drive(protocol.capabilities(), Remembering())
    assert told == {name: getattr(PARAMETERS, name) for name in told}
    assert set(vars(PARAMETERS)) - set(told) == {"pool_channels"}
