"""The register protocol without a bus: what a host reads and writes to load, update and observe an accelerator.

Every function is a generator. It yields :class:`Read` and :class:`Write` requests, gets the words of a read sent back,
and returns its result. :func:`drive` runs it over a bus that blocks, :func:`drive_async` over one that is awaited, so
that a simulation, the reference device and a board share each line. A bus raises DeviceError for an access that is
answered with an error; the error is raised in the generator, at the request.

Words of a memory space are addressed as in an overlay program's images. On the bus a 36-bit word is two 32-bit words.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tritforge.device.entries import of_spaces, runs
from tritforge.errors import DeviceError
from tritforge.overlay import register_map as rm
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import (
    ENTRY,
    ENTRY_BUS_WORDS,
    SPACES,
    BusWords,
    Entries,
    Words,
    entries_from_bus,
    entries_to_bus,
    space_named,
)

Value = TypeVar("Value")

COUNTERS = tuple(register for register in Register if Register.CYCLES <= register <= Register.LAST_LATENCY)
LAYER_COUNTERS = ("cycles", "issued", "stall_windows", "stall_accumulators")
"""Counters of a layer, in their order in the window."""
COUNTER_MODULUS = 1 << 32

POLLS = 100_000
"""Reads of a register after which waiting is given up; one takes about ten cycles of a simulated accelerator."""


@dataclass(frozen=True)
class Read:
    """Read ``count`` bus words from byte offset ``offset`` on."""

    offset: int
    count: int = 1


@dataclass(frozen=True, eq=False)
class Write:
    """Write ``words`` to consecutive offsets from ``offset`` on."""

    offset: int
    words: BusWords


Answer = BusWords | DeviceError | None
"""Words that were read, an error, or nothing: a write was done."""

Steps = Generator["Read | Write", "BusWords", Value]
"""Steps of the protocol, which return a value."""


class Bus(Protocol):
    """A bus whose accesses have happened when they return; both raise DeviceError when the answer is an error."""

    def read(self, offset: int, count: int) -> BusWords:
        """``count`` words from byte offset ``offset`` on."""
        ...

    def write(self, offset: int, words: BusWords) -> None:
        """Write ``words`` from byte offset ``offset`` on."""
        ...


class AsyncBus(Protocol):
    """A :class:`Bus` whose accesses are awaited."""

    async def read(self, offset: int, count: int) -> BusWords:
        """``count`` words from byte offset ``offset`` on."""
        ...

    async def write(self, offset: int, words: BusWords) -> None:
        """Write ``words`` from byte offset ``offset`` on."""
        ...


def drive(steps: Steps[Value], bus: Bus) -> Value:
    """Run ``steps`` over ``bus``; gives what they return."""
    answer: Answer = None
    while True:
        try:
            request = next_request(steps, answer)
        except StopIteration as end:
            return end.value
        answer = perform(request, bus)


async def drive_async(steps: Steps[Value], bus: AsyncBus) -> Value:
    """Run ``steps`` over ``bus``, awaiting each access; gives what they return."""
    answer: Answer = None
    while True:
        try:
            request = next_request(steps, answer)
        except StopIteration as end:
            return end.value
        answer = None
        try:
            if isinstance(request, Read):
                answer = await bus.read(request.offset, request.count)
            else:
                await bus.write(request.offset, request.words)
        except DeviceError as error:
            answer = error


def next_request(steps: Steps[Value], answer: Answer) -> Read | Write:
    """The request that follows the answer to the one before; None begins. Raises StopIteration with the result."""
    if isinstance(answer, DeviceError):
        return steps.throw(answer)
    return steps.send(answer)  # type: ignore[arg-type]  # None begins, and answers a write


def perform(request: Read | Write, bus: Bus) -> Answer:
    """Do one request; gives its answer, also where that is an error."""
    try:
        if isinstance(request, Read):
            return bus.read(request.offset, request.count)
        bus.write(request.offset, request.words)
    except DeviceError as error:
        return error
    return None


# ---- Registers. ----


def read_register(register: Register) -> Steps[int]:
    """The value of a register."""
    return int((yield Read(register))[0])


def write_register(register: Register, value: int) -> Steps[None]:
    """Write a register."""
    yield Write(register, np.array([value], dtype=np.uint32))


def state() -> Steps[State]:
    """What the accelerator does with images."""
    return State(rm.STATE_STATE.get((yield from read_register(Register.STATE))))


def version() -> Steps[int]:
    """The network version in force: of the network that images started now would see."""
    return (yield from read_register(Register.VERSION))


def staging_depth() -> Steps[int]:
    """Entries that the staging memory holds."""
    return 1 << rm.MEMORIES_LOG2_STAGING.get((yield from read_register(Register.MEMORIES)))


def capabilities() -> Steps[dict[str, int]]:
    """What the accelerator tells of its parameters, by their names."""
    array = yield from read_register(Register.ARRAY)
    memories = yield from read_register(Register.MEMORIES)
    tables = yield from read_register(Register.TABLES)
    return {
        "pes": rm.ARRAY_PES.get(array),
        "group_channels": rm.ARRAY_GROUP_CHANNELS.get(array),
        "activation_bits": rm.ARRAY_ACTIVATION_BITS.get(array),
        "pass_outputs": rm.ARRAY_PASS_OUTPUTS.get(array),
        "slots": 1 << rm.MEMORIES_LOG2_SLOTS.get(memories),
        "feature_words": 1 << rm.MEMORIES_LOG2_FEATURE_WORDS.get(memories),
        "staging": 1 << rm.MEMORIES_LOG2_STAGING.get(memories),
        "bitmap_words": 1 << rm.TABLES_LOG2_BITMAPS.get(tables),
        "affine_channels": 1 << rm.TABLES_LOG2_AFFINE.get(tables),
        "descriptors": 1 << rm.TABLES_LOG2_DESCRIPTORS.get(tables),
    }


# ---- Program memories. ----


def write_words(space: str, addresses: ArrayLike, words: ArrayLike) -> Steps[None]:
    """Write ``words`` to ``addresses`` of ``space``; raises DeviceError when the memory is closed or too small."""
    yield from _clear(rm.EVENTS_CLOSED_WRITE)
    memory, content = space_named(space), np.asarray(words, dtype=np.uint64)
    for first, stretch in runs(addresses):
        yield Write(memory.offset(first), memory.to_bus(content[stretch]))
    if (yield from _event(rm.EVENTS_CLOSED_WRITE)):
        raise DeviceError(f"the memory {space} is closed or too small; nothing was written to some of the addresses")


def read_words(space: str, addresses: ArrayLike) -> Steps[Words]:
    """Words at ``addresses`` of ``space``, in their order; in any state, neighbours together."""
    memory, words = space_named(space), np.zeros(np.size(addresses), dtype=np.uint64)
    for first, stretch in runs(addresses):
        count = stretch.stop - stretch.start
        words[stretch] = memory.from_bus((yield Read(memory.offset(first), memory.bus_words * count)))
    return words


def read_entries(places: Entries) -> Steps[Words]:
    """Words that the accelerator holds at the places of ``places``, sorted by space."""
    words = [np.zeros(0, dtype=np.uint64)]
    for space, chosen in of_spaces(places):
        words.append((yield from read_words(space, chosen["address"])))
    return np.concatenate(words)


def read_images(lengths: dict[str, int]) -> Steps[dict[str, Words]]:
    """The first words of every memory space, as many as ``lengths`` says by name."""
    images = {}
    for space, length in lengths.items():
        images[space] = yield from read_words(space, np.arange(length))
    return images


def load_program(program: OverlayProgram, next_version: int) -> Steps[None]:
    """Write a whole program and make it valid."""
    yield from open_memories()
    for space in SPACES:
        image = program.images[space]
        yield from write_words(space, np.arange(image.size), image)
    yield from activate(next_version)


def open_memories() -> Steps[None]:
    """Stop between two images and open the program memories for writing."""
    control = yield from read_register(Register.CONTROL)
    yield from write_register(Register.CONTROL, control | rm.CONTROL_LOAD.mask)
    yield from _wait_state(State.LOADING)


def activate(next_version: int) -> Steps[None]:
    """Close the program memories and make their content valid under ``next_version``."""
    control = yield from read_register(Register.CONTROL)
    yield from write_register(Register.CONTROL, control & ~rm.CONTROL_LOAD.mask)
    yield from command(rm.COMMAND_ACTIVATE, next_version)
    yield from _wait_state(State.VALID)


# ---- Staging and commit. ----


def stage(entries: Entries) -> Steps[None]:
    """Write ``entries`` to the staging memory from its first on, and say how many it holds; the array runs on."""
    yield from _clear(rm.EVENTS_CLOSED_WRITE)
    for index, row in enumerate(entries_to_bus(entries)):
        yield Write(rm.STAGING.base + 4 * ENTRY_BUS_WORDS * index, row)
    if (yield from _event(rm.EVENTS_CLOSED_WRITE)):
        raise DeviceError(f"{entries.size} entries do not fit the staging memory")
    yield from write_register(Register.STAGED, entries.size)


def read_staging(count: int) -> Steps[Entries]:
    """The first ``count`` entries of the staging memory."""
    if not count:
        return np.zeros(0, dtype=ENTRY)
    words = yield Read(rm.STAGING.base, ENTRY_BUS_WORDS * count)
    return entries_from_bus(words.reshape(count, ENTRY_BUS_WORDS))


def commit(next_version: int) -> Steps[int]:
    """Commit what is staged and wait for its end; gives the cycles that it kept the array from images."""
    yield from _clear(rm.EVENTS_COMMIT_DONE)
    yield from command(rm.COMMAND_COMMIT, next_version)
    yield from _wait(Register.EVENTS, lambda word: bool(rm.EVENTS_COMMIT_DONE.get(word)), "the commit did not end")
    return (yield from read_register(Register.COMMIT_PAUSE))


# ---- Running. ----


def enable(on: bool = True) -> Steps[None]:
    """Let images run, or not."""
    control = yield from read_register(Register.CONTROL)
    yield from write_register(Register.CONTROL, control & ~rm.CONTROL_ENABLE.mask | rm.CONTROL_ENABLE.put(int(on)))


def soft_reset() -> Steps[None]:
    """Drop what runs; the state is empty afterwards."""
    yield from write_register(Register.CONTROL, 0)
    yield from write_register(Register.COMMAND, rm.COMMAND_SOFT_RESET.mask)
    yield from _wait_state(State.EMPTY)


def wait_idle() -> Steps[None]:
    """Wait until no image is in the array."""
    yield from _wait(Register.STATE, lambda word: not rm.STATE_BUSY.get(word), "the array did not become idle")


def counters() -> Steps[dict[str, int]]:
    """All counters at one instant, by the lower-case names of their registers; each counts modulo 2**32."""
    yield from write_register(Register.COMMAND, rm.COMMAND_SNAPSHOT.mask)
    words = yield Read(COUNTERS[0], len(COUNTERS))
    return {register.name.lower(): int(word) for register, word in zip(COUNTERS, words, strict=True)}


def counted(before: int, after: int) -> int:
    """What a counter of 32 bits counted between two reads, if that was less than 2**32."""
    return (after - before) % COUNTER_MODULUS


def clear_counters() -> Steps[None]:
    """Set all counters to zero."""
    yield from write_register(Register.COMMAND, rm.COMMAND_CLEAR_COUNTERS.mask)


def layer_counters(layers: int) -> Steps[list[dict[str, int]]]:
    """``LAYER_COUNTERS`` of each layer in the last image, by name."""
    words = yield Read(rm.LAYER_COUNTERS.base, len(LAYER_COUNTERS) * layers)
    rows = words.reshape(layers, len(LAYER_COUNTERS)).tolist()
    return [dict(zip(LAYER_COUNTERS, row, strict=True)) for row in rows]


# ---- Parts. ----


def command(which: rm.Field, next_version: int) -> Steps[None]:
    """Give a command that takes a version; raises DeviceError when it is refused."""
    yield from _clear(rm.EVENTS_REFUSED)
    yield from write_register(Register.NEXT_VERSION, next_version)
    yield from write_register(Register.COMMAND, which.mask)
    if (yield from _event(rm.EVENTS_REFUSED)):
        now = yield from state()
        raise DeviceError(f"the accelerator refused a command in the state {now.name.lower()}")


def _clear(event: rm.Field) -> Steps[None]:
    yield from write_register(Register.EVENTS, event.mask)


def _event(event: rm.Field) -> Steps[bool]:
    return bool(event.get((yield from read_register(Register.EVENTS))))


def _wait_state(wanted: State) -> Steps[None]:
    yield from _wait(
        Register.STATE,
        lambda word: rm.STATE_STATE.get(word) == wanted,
        f"the state {wanted.name.lower()} did not come",
    )


def _wait(register: Register, reached: Callable[[int], bool], failure: str) -> Steps[None]:
    for _ in range(POLLS):
        if reached((yield from read_register(register))):
            return
    raise DeviceError(failure)
