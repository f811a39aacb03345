"""The reference device: the accelerator without its hardware, behind the same registers, memories and streams.

It holds the words of the memories, of staging and of the feature banks, and computes each image from those words by
their addresses; it is never told a network. Words, versions, states, events and refusals are those of the hardware,
its known faults among them; cycles are those of the cycle model.

Nothing happens by itself. A port access is a step; what the hardware would do in its own time are *moves*, which
whoever holds the device makes one by one: :meth:`ReferenceDevice.moves` tells which may come next, in any order that is
chosen. So a test can put an access between any two of them. :class:`FreeRunning` lets the device run after each access.

What it does not know: cycles of accesses, an image that has come in halfway (an image comes in at once), two images in
the array at a time (no program changes under either), results that wait for room.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import numpy as np

from tritforge.device.accelerator import Accelerator
from tritforge.device.protocol import COUNTERS
from tritforge.device.reference.array import Array
from tritforge.device.reference.core import Core
from tritforge.device.reference.image_input import ImageInput
from tritforge.device.reference.memories import ProgramMemories, Staging
from tritforge.device.reference.program_state import Phase, ProgramState
from tritforge.device.reference.registers import Registers
from tritforge.device.reference.timing import Counters, RowTiming
from tritforge.device.streams import Beats, Result
from tritforge.errors import DeviceError
from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import BusWords

REGISTERS = {int(register): register for register in Register}


class Move(Enum):
    """What the hardware does in its own time."""

    TAKE = auto()
    """An image comes from the stream into a free buffer."""
    START = auto()
    """An image enters the array; version and sequence number are those of now."""
    LAYER = auto()
    """The array computes the image's next layer."""
    FINISH = auto()
    """The image leaves the array, its result the device."""
    BEGIN_COPY = auto()
    """A pending commit begins: no image is in the array."""
    COPY = auto()
    """One staged entry is copied."""
    END_COPY = auto()
    """The copy ends; the version is taken unless a descriptor was written."""
    RENEW = auto()
    """The core fetches header and first descriptor again; then the version is taken."""
    OPEN = auto()
    """The program memories open for writing."""


class ReferenceDevice:
    """The device, one step at a time.

    Args:
        parameters: what the hardware would have been built with.
        seed: of what the memories hold at first.

    Attributes:
        results: results that have left and that nobody has taken.
        clock: cycles since the device began.
    """

    def __init__(self, parameters: AcceleratorParameters, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.parameters = parameters
        self.memories, self.staging = ProgramMemories(parameters, rng), Staging(parameters.staging, rng)
        self.registers = Registers(parameters)
        self.results: deque[Result] = deque()
        self._counters = Counters()
        core = Core(self.memories, rng)
        self._images = ImageInput(core, self.registers)
        self._array = Array(core, self._images, self._counters, RowTiming(self.memories))
        self._state = ProgramState(self.memories, self.staging, self.registers)

    @property
    def clock(self) -> int:
        """Cycles since the device began."""
        return self._array.clock

    @property
    def state(self) -> State:
        """What the device does with images."""
        return self._state.phase.told

    # ---- Port accesses. ----

    def read(self, offset: int, count: int) -> BusWords:
        """Read bus words; raises DeviceError where the hardware answers with SLVERR."""
        for name, window in rm.WINDOWS.items():
            first = (offset - window.base) // 4
            if first >= 0 and first + count <= window.words:
                self._wait_for_copy()
                return self._read_window(name, first, count)
        if count == 1:
            return np.array([self._read_register(offset)], dtype=np.uint32)
        return np.concatenate([self.read(place, 1) for place in range(offset, offset + 4 * count, 4)])

    def write(self, offset: int, words: BusWords) -> None:
        """Write bus words; raises DeviceError where the hardware answers with SLVERR."""
        for name, window in rm.WINDOWS.items():
            first = (offset - window.base) // 4
            if first >= 0 and first + words.size <= window.words and name != "layer_counters":
                self._wait_for_copy()
                if not self._write_window(name, first, words):
                    self.registers.tell(rm.EVENTS_CLOSED_WRITE)
                return
        if words.size == 1:
            self._write_register(offset, int(words[0]))
            return
        for index in range(words.size):
            self.write(offset + 4 * index, words[index : index + 1])

    def send(self, beats: Beats, last: bool = False) -> None:
        """Put beats on the image stream, with TLAST on the last of them where ``last`` says so."""
        self._images.send(beats, last)

    def _read_window(self, name: str, first: int, count: int) -> BusWords:
        if name == "staging":
            return self.staging.read_bus(first, count)
        if name == "layer_counters":
            flat = [count for layer in self._counters.layers for count in layer]
            return np.array(flat[first : first + count], dtype=np.uint32)
        return self.memories.read_bus(name, first, count)

    def _write_window(self, name: str, first: int, words: BusWords) -> bool:
        if name == "staging":
            return self.staging.write_bus(first, words)
        return self._state.phase is Phase.LOADING and self.memories.write_bus(name, first, words)

    def _read_register(self, offset: int) -> int:
        register = REGISTERS.get(offset)
        if register is Register.STATE:
            busy, pending = int(self._array.image is not None), int(self._state.pending)
            told = rm.STATE_STATE.put(self._state.phase.told)
            return told | rm.STATE_BUSY.put(busy) | rm.STATE_COMMIT_PENDING.put(pending)
        if register is Register.VERSION:
            return self._state.version
        if register is Register.COMMIT_PAUSE:
            return self._state.pause
        if register in COUNTERS:
            self._wait_for_copy()
            return self._counters.snapshot[register.name.lower()]
        if register in self.registers.values:
            return self.registers.values[register]
        raise DeviceError(f"reading 1 word at 0x{offset:05X} was answered with SLVERR")

    def _write_register(self, offset: int, value: int) -> None:
        register = REGISTERS.get(offset)
        if register is Register.COMMAND:
            self._command(value)
        elif register is None or not self.registers.write(register, value):
            raise DeviceError(f"writing 1 word at 0x{offset:05X} was answered with SLVERR")

    def _command(self, value: int) -> None:
        if rm.COMMAND_SNAPSHOT.get(value):
            self._counters.take(self.clock)
        if rm.COMMAND_CLEAR_COUNTERS.get(value):
            self._counters.clear(self.clock)
        accepted = not rm.COMMAND_ACTIVATE.get(value) or self._state.activate()
        accepted &= not rm.COMMAND_COMMIT.get(value) or self._state.commit()
        if not accepted:
            self.registers.tell(rm.EVENTS_REFUSED)
        if rm.COMMAND_SOFT_RESET.get(value):
            self._state.reset()
            self._array.reset()
            self._counters.reset(self.clock)

    def _wait_for_copy(self) -> None:
        """An access to a memory waits until no entry is being copied."""
        while self._state.phase is Phase.COPYING:
            self.make(Move.COPY if self._state.copies else Move.END_COPY)

    # ---- Moves. ----

    def moves(self) -> tuple[Move, ...]:
        """What may come next; of several, any."""
        state, array = self._state, self._array
        idle = array.image is None
        possible = {
            Move.TAKE: state.image_may_come_in and self._images.takes,
            Move.FINISH: array.image_is_done,
            Move.LAYER: array.layer_is_due,
            Move.START: state.image_may_start and array.may_start,
            Move.BEGIN_COPY: state.begins_copy(idle),
            Move.COPY: state.copies,
            Move.END_COPY: state.ends_copy,
            Move.RENEW: state.renews,
            Move.OPEN: state.opens(idle),
        }
        return tuple(move for move, may in possible.items() if may)

    def make(self, move: Move) -> None:
        """Make one of the moves that may come next."""
        if move is Move.TAKE:
            self._images.take()
        elif move is Move.START:
            self._array.start(self._state.version)
        elif move is Move.LAYER:
            self._array.layer()
        elif move is Move.FINISH:
            self.results.append(self._array.finish())
            if self.results[-1].last:
                self.registers.tell(rm.EVENTS_BATCH_DONE)
        else:
            self._change_program(move)

    def _change_program(self, move: Move) -> None:
        """A move of the program's state; no image is in the array."""
        committed = False
        if move is Move.OPEN:
            cycles = self._state.open()
            self._array.empty()
        elif move is Move.BEGIN_COPY:
            cycles = self._state.begin_copy()
        elif move is Move.COPY:
            cycles = self._state.copy_entry()
        elif move is Move.END_COPY:
            cycles, committed = self._state.end_copy()
        else:
            cycles, committed = self._state.renew()
        self._array.pause()
        self._array.clock += cycles
        if committed:
            self.registers.tell(rm.EVENTS_COMMIT_DONE)

    def settle(self) -> None:
        """Make moves until none is left."""
        while moves := self.moves():
            self.make(moves[0])


class FreeRunning:
    """A reference device that goes on after every access until nothing moves: a bus and the streams of a host.

    Attributes:
        device: the device.
    """

    def __init__(self, device: ReferenceDevice) -> None:
        self.device = device

    def read(self, offset: int, count: int) -> BusWords:
        """Read bus words."""
        words = self.device.read(offset, count)
        self.device.settle()
        return words

    def write(self, offset: int, words: BusWords) -> None:
        """Write bus words."""
        self.device.write(offset, words)
        self.device.settle()

    def run(self, images: Beats, classes: int) -> list[Result]:
        """Send images and take their results; raises DeviceError when one does not come."""
        for index, beats in enumerate(images):
            self.device.send(beats, last=index + 1 == len(images))
        self.device.settle()
        results = list(self.device.results)
        self.device.results.clear()
        if len(results) < len(images):
            state = self.device.state.name.lower()
            raise DeviceError(f"no result came after image {len(results)}; the state is {state}")
        return results


def reference_accelerator(parameters: AcceleratorParameters, seed: int = 0) -> Accelerator:
    """An accelerator that is a free-running reference device."""
    running = FreeRunning(ReferenceDevice(parameters, seed))
    return Accelerator(running, running, parameters)
