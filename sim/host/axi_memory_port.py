"""The accelerator's memories, registers and commits, over AXI4-Lite in a cocotb simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cocotbext.axi import AxiLiteMaster, AxiResp

from tritforge.errors import DeviceError
from tritforge.overlay import register_map as rm
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import SPACES, entry_from_bus, entry_to_bus, space_named

COUNTERS = (
    Register.CYCLES,
    Register.BUSY_CYCLES,
    Register.GROUPS_ISSUED,
    Register.GROUPS_SKIPPED,
    Register.STALL_WINDOWS,
    Register.STALL_ACCUMULATORS,
    Register.STALL_SCHEDULE,
    Register.IMAGES_STARTED,
    Register.IMAGES_DONE,
    Register.LAST_LATENCY,
)
POLLS = 100_000
"""Reads of a register after which waiting is given up; one takes about ten cycles."""

Entry = tuple[str, int, int]
"""A staged word: memory space, word address, word."""


class AxiMemoryPort:
    """A memory port over an AXI4-Lite master.

    Words are addressed as in an overlay program's images. Every function raises DeviceError when an access is answered
    with an error.
    """

    def __init__(self, master: AxiLiteMaster) -> None:
        self.master = master

    async def read_register(self, register: Register) -> int:
        """The value of a register."""
        return (await self._read(register, 1))[0]

    async def write_register(self, register: Register, value: int) -> None:
        """Write a register."""
        await self._write(register, [value])

    async def write_words(self, space: str, addresses: Sequence[int], words: Sequence[int]) -> None:
        """Write words; raises DeviceError when the memory was closed or an address is beyond its end."""
        memory = space_named(space)
        await self._clear(rm.EVENTS_CLOSED_WRITE)
        for first, run in _runs(addresses, words):
            await self._write(memory.offset(first), memory.to_bus(run))
        if await self._event(rm.EVENTS_CLOSED_WRITE):
            raise DeviceError(
                f"the memory {space} is closed or too small; nothing was written to some of the addresses"
            )

    async def read_words(self, space: str, addresses: Sequence[int]) -> list[int]:
        """Read words, in any state."""
        words, memory = [], space_named(space)
        for first, run in _runs(addresses, addresses):
            words += memory.from_bus(await self._read(memory.offset(first), memory.bus_words * len(run)))
        return words

    async def stage(self, entries: Sequence[Entry]) -> None:
        """Write the staging memory from its first entry on, and say how many entries it holds."""
        await self._clear(rm.EVENTS_CLOSED_WRITE)
        for index, (space, address, word) in enumerate(entries):
            await self._write(rm.STAGING.base + 16 * index, entry_to_bus(space, address, word))
        if await self._event(rm.EVENTS_CLOSED_WRITE):
            raise DeviceError(f"{len(entries)} entries do not fit the staging memory")
        await self.write_register(Register.STAGED, len(entries))

    async def read_staging(self, count: int) -> list[Entry]:
        """The first entries of the staging memory."""
        words = await self._read(rm.STAGING.base, 4 * count)
        return [entry_from_bus(words[i : i + 4]) for i in range(0, 4 * count, 4)]

    async def commit(self, next_version: int) -> int:
        """Commit what is staged and wait for its end; returns the cycles it kept the array from images."""
        await self._clear(rm.EVENTS_COMMIT_DONE)
        await self._command(rm.COMMAND_COMMIT, next_version)
        await self._wait(Register.EVENTS, lambda word: bool(rm.EVENTS_COMMIT_DONE.get(word)), "the commit did not end")
        return await self.read_register(Register.COMMIT_PAUSE)

    async def open_memories(self) -> None:
        """Stop between two images and open the program memories for writing."""
        control = await self.read_register(Register.CONTROL)
        await self.write_register(Register.CONTROL, control | rm.CONTROL_LOAD.mask)
        await self._wait_state(State.LOADING)

    async def activate(self, version: int) -> None:
        """Close the program memories and make their content valid under ``version``."""
        control = await self.read_register(Register.CONTROL)
        await self.write_register(Register.CONTROL, control & ~rm.CONTROL_LOAD.mask)
        await self._command(rm.COMMAND_ACTIVATE, version)
        await self._wait_state(State.VALID)

    async def load_program(self, program: OverlayProgram, version: int) -> None:
        """Write a whole program and make it valid."""
        await self.open_memories()
        for space in SPACES:
            image = program.images[space]
            await self.write_words(space, range(len(image)), image.tolist())
        await self.activate(version)

    async def enable(self, on: bool = True) -> None:
        """Let images run, or not."""
        control = await self.read_register(Register.CONTROL) & ~rm.CONTROL_ENABLE.mask
        await self.write_register(Register.CONTROL, control | rm.CONTROL_ENABLE.put(int(on)))

    async def soft_reset(self) -> None:
        """Drop what runs; STATE is empty afterwards."""
        await self.write_register(Register.CONTROL, 0)
        await self.write_register(Register.COMMAND, rm.COMMAND_SOFT_RESET.mask)
        await self._wait_state(State.EMPTY)

    async def state(self) -> State:
        """What the accelerator does with images."""
        return State(rm.STATE_STATE.get(await self.read_register(Register.STATE)))

    async def wait_idle(self) -> None:
        """Wait until no image is in the array."""
        await self._wait(Register.STATE, lambda word: not rm.STATE_BUSY.get(word), "the array did not become idle")

    async def version(self) -> int:
        """The network version in force."""
        return await self.read_register(Register.VERSION)

    async def counters(self) -> dict[str, int]:
        """All counters at one instant, by the lower-case names of their registers."""
        await self.write_register(Register.COMMAND, rm.COMMAND_SNAPSHOT.mask)
        words = await self._read(COUNTERS[0], len(COUNTERS))
        return {register.name.lower(): word for register, word in zip(COUNTERS, words, strict=True)}

    async def clear_counters(self) -> None:
        """Set all counters to zero."""
        await self.write_register(Register.COMMAND, rm.COMMAND_CLEAR_COUNTERS.mask)

    async def layer_counters(self, layers: int) -> list[list[int]]:
        """Cycles, groups issued, stalls for windows and for accumulators of each layer in the last image."""
        words = await self._read(rm.LAYER_COUNTERS.base, 4 * layers)
        return [words[i : i + 4] for i in range(0, 4 * layers, 4)]

    async def _command(self, command: rm.Field, next_version: int) -> None:
        await self._clear(rm.EVENTS_REFUSED)
        await self.write_register(Register.NEXT_VERSION, next_version)
        await self.write_register(Register.COMMAND, command.mask)
        if await self._event(rm.EVENTS_REFUSED):
            raise DeviceError(f"the accelerator refused a command in the state {(await self.state()).name.lower()}")

    async def _clear(self, event: rm.Field) -> None:
        await self.write_register(Register.EVENTS, event.mask)

    async def _event(self, event: rm.Field) -> bool:
        return bool(event.get(await self.read_register(Register.EVENTS)))

    async def _wait_state(self, state: State) -> None:
        await self._wait(
            Register.STATE,
            lambda word: rm.STATE_STATE.get(word) == state,
            f"the state {state.name.lower()} did not come",
        )

    async def _wait(self, register: Register, reached: Callable[[int], bool], failure: str) -> None:
        for _ in range(POLLS):
            if reached(await self.read_register(register)):
                return
        raise DeviceError(failure)

    async def _read(self, offset: int, count: int) -> list[int]:
        done = await self.master.read(offset, 4 * count)
        if done.resp != AxiResp.OKAY:
            raise DeviceError(f"reading {count} words at 0x{offset:05X} was answered with {done.resp.name}")
        return [int.from_bytes(done.data[i : i + 4], "little") for i in range(0, 4 * count, 4)]

    async def _write(self, offset: int, words: Sequence[int]) -> None:
        done = await self.master.write(offset, b"".join(word.to_bytes(4, "little") for word in words))
        if done.resp != AxiResp.OKAY:
            raise DeviceError(f"writing {len(words)} words at 0x{offset:05X} was answered with {done.resp.name}")


def _runs(addresses: Sequence[int], words: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Words at consecutive addresses together, with the first address."""
    run: list[int] = []
    first = 0
    for address, word in zip(addresses, words, strict=True):
        if run and address != first + len(run):
            yield first, run
            run = []
        if not run:
            first = address
        run.append(word)
    if run:
        yield first, run
