"""Which program is in force: loading, activation, commits between two images, and the version (``program_state.sv``).

What the hardware does by itself happens in moves; the one who holds this says when. Between two moves registers may
change, as they may between two cycles of the hardware: STAGED is taken when the copy begins, NEXT_VERSION when it ends.
"""

from __future__ import annotations

from enum import Enum, auto

from tritforge.device.reference.memories import ProgramMemories, Staging
from tritforge.device.reference.registers import Registers
from tritforge.overlay.register_map import State
from tritforge.overlay.spaces import space_coded

COPY_CYCLES = 2
"""Cycles of a copy beyond one a word (``staging_commit.sv``)."""
RENEW_CYCLES = 39
"""Cycles in which the core fetches header and first descriptor (``sequencer.sv``)."""
PAUSE_MASK = 0xFFFF
"""Bits of the pause that the hardware counts."""


class Phase(Enum):
    """States of the state machine."""

    EMPTY = auto()
    LOADING = auto()
    ACTIVATING = auto()
    VALID = auto()
    COPYING = auto()
    RENEWING = auto()

    @property
    def told(self) -> State:
        """Value of STATE.state."""
        return _TOLD[self]


_TOLD = {
    Phase.EMPTY: State.EMPTY,
    Phase.LOADING: State.LOADING,
    Phase.ACTIVATING: State.LOADING,
    Phase.VALID: State.VALID,
    Phase.COPYING: State.COMMITTING,
    Phase.RENEWING: State.COMMITTING,
}


class ProgramState:
    """The state machine and the copier of staged entries."""

    def __init__(self, memories: ProgramMemories, staging: Staging, registers: Registers) -> None:
        self._memories, self._staging, self._registers = memories, staging, registers
        self.phase = Phase.EMPTY
        self.pending = False
        self.version = 0
        self.pause = 0
        self._index = self._entries = 0
        self._renews = False

    def activate(self) -> bool:
        """The command; False where it is refused."""
        if self.phase is not Phase.LOADING or self._registers.load:
            return False
        self.phase = Phase.ACTIVATING
        return True

    def commit(self) -> bool:
        """The command; False where it is refused."""
        entries = self._staging.entries.size
        if self.phase is not Phase.VALID or self.pending or self._registers.staged > entries:
            return False
        self.pending, self.pause = True, 0
        return True

    def reset(self) -> None:
        """A soft reset: a commit stops where it is; the memories stay as they are."""
        self.phase, self.pending, self.version = Phase.EMPTY, False, 0

    @property
    def image_may_start(self) -> bool:
        """Whether an image may enter the array."""
        return self.phase is Phase.VALID and self._registers.enable and not self.pending and not self._registers.load

    @property
    def image_may_come_in(self) -> bool:
        """Whether the stream gives images to the buffers."""
        return self.phase is Phase.VALID and self._registers.enable

    def opens(self, idle: bool) -> bool:
        """Whether the memories are to be opened now."""
        waits = self.phase is Phase.EMPTY or (self.phase is Phase.VALID and not self.pending)
        return waits and self._registers.load and idle

    def begins_copy(self, idle: bool) -> bool:
        """Whether a pending commit begins now."""
        return self.phase is Phase.VALID and self.pending and idle

    @property
    def copies(self) -> bool:
        """Whether there is an entry to copy."""
        return self.phase is Phase.COPYING and self._index < self._entries

    @property
    def ends_copy(self) -> bool:
        """Whether the last entry has been copied."""
        return self.phase is Phase.COPYING and self._index >= self._entries

    @property
    def renews(self) -> bool:
        """Whether the core fetches header and first descriptor."""
        return self.phase in (Phase.ACTIVATING, Phase.RENEWING)

    def open(self) -> int:
        """Open the memories; like all moves, gives the cycles that it took."""
        self.phase = Phase.LOADING
        return 1

    def begin_copy(self) -> int:
        """Take the number of entries, and begin."""
        self.phase, self.pending = Phase.COPYING, False
        self._index, self._entries, self._renews = 0, self._registers.staged, False
        return self._paused(1)

    def copy_entry(self) -> int:
        """Copy one entry."""
        space, address, word = self._staging.entries[self._index % self._staging.entries.size].tolist()
        name = space_coded(space).name
        self._memories.write(name, address, word)
        self._renews |= name == "descriptors"
        self._index += 1
        return self._paused(1)

    def end_copy(self) -> tuple[int, bool]:
        """End the copy; gives whether the commit is done with it, too."""
        cycles = self._paused(COPY_CYCLES + (self._entries == 0))
        if self._renews:
            self.phase = Phase.RENEWING
            return cycles, False
        self._take_version()
        return cycles, True

    def renew(self) -> tuple[int, bool]:
        """Fetch header and first descriptor; gives whether a commit is done with it."""
        ends_commit = self.phase is Phase.RENEWING
        if ends_commit:
            self._paused(RENEW_CYCLES)
        self._take_version()
        return RENEW_CYCLES, ends_commit

    def _take_version(self) -> None:
        self.phase, self.version = Phase.VALID, self._registers.next_version

    def _paused(self, cycles: int) -> int:
        self.pause = (self.pause + cycles) & PAUSE_MASK
        return cycles
