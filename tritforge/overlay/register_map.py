"""Register map of the accelerator: byte offsets, fields and memory windows.

Generated from rtl/map/accelerator.rdl by `python -m tritforge.rtl.generate`; do not edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True)
class Field:
    """A field of a register: lowest bit and width in bits."""

    low: int
    width: int

    @property
    def mask(self) -> int:
        """The field's bits, in their place."""
        return ((1 << self.width) - 1) << self.low

    def get(self, word: int) -> int:
        """The field's value in a register word."""
        return (word & self.mask) >> self.low

    def put(self, value: int) -> int:
        """A register word with this field alone set; raises ValueError when the value does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{value} does not fit a field of {self.width} bits")
        return value << self.low


@dataclass(frozen=True)
class Window:
    """A memory window: byte offset of its first word and 32-bit words."""

    base: int
    words: int


class Register(IntEnum):
    """Byte offsets of the registers."""

    ID = 0x00
    MAP_VERSION = 0x04
    ARRAY = 0x08
    MEMORIES = 0x0C
    TABLES = 0x10
    CONTROL = 0x14
    COMMAND = 0x18
    STATE = 0x1C
    VERSION = 0x20
    NEXT_VERSION = 0x24
    STAGED = 0x28
    COMMIT_PAUSE = 0x2C
    BATCH = 0x30
    EVENTS = 0x34
    INTERRUPT_ENABLE = 0x38
    CYCLES = 0x40
    BUSY_CYCLES = 0x44
    GROUPS_ISSUED = 0x48
    GROUPS_SKIPPED = 0x4C
    STALL_WINDOWS = 0x50
    STALL_ACCUMULATORS = 0x54
    STALL_SCHEDULE = 0x58
    IMAGES_STARTED = 0x5C
    IMAGES_DONE = 0x60
    LAST_LATENCY = 0x64


class State(IntEnum):
    """Values of STATE.state."""

    EMPTY = 0
    LOADING = 1
    VALID = 2
    COMMITTING = 3


ARRAY_PES = Field(low=0, width=8)
ARRAY_GROUP_CHANNELS = Field(low=8, width=8)
ARRAY_ACTIVATION_BITS = Field(low=16, width=8)
ARRAY_PASS_OUTPUTS = Field(low=24, width=8)
MEMORIES_LOG2_SLOTS = Field(low=0, width=8)
MEMORIES_LOG2_FEATURE_WORDS = Field(low=8, width=8)
MEMORIES_LOG2_STAGING = Field(low=16, width=8)
TABLES_LOG2_BITMAPS = Field(low=0, width=8)
TABLES_LOG2_AFFINE = Field(low=8, width=8)
TABLES_LOG2_DESCRIPTORS = Field(low=16, width=8)
CONTROL_ENABLE = Field(low=0, width=1)
CONTROL_LOAD = Field(low=1, width=1)
COMMAND_SOFT_RESET = Field(low=0, width=1)
COMMAND_ACTIVATE = Field(low=1, width=1)
COMMAND_COMMIT = Field(low=2, width=1)
COMMAND_SNAPSHOT = Field(low=3, width=1)
COMMAND_CLEAR_COUNTERS = Field(low=4, width=1)
STATE_STATE = Field(low=0, width=2)
STATE_BUSY = Field(low=8, width=1)
STATE_COMMIT_PENDING = Field(low=9, width=1)
STAGED_ENTRIES = Field(low=0, width=16)
BATCH_IMAGES = Field(low=0, width=16)
EVENTS_EARLY_LAST = Field(low=0, width=1)
EVENTS_LATE_LAST = Field(low=1, width=1)
EVENTS_CLOSED_WRITE = Field(low=2, width=1)
EVENTS_BATCH_DONE = Field(low=3, width=1)
EVENTS_COMMIT_DONE = Field(low=4, width=1)
EVENTS_REFUSED = Field(low=5, width=1)
INTERRUPT_ENABLE_MASK = Field(low=0, width=6)

ID_VALUE = 0x54524954
MAP_VERSION_VALUE = 0x2

LAYER_COUNTERS = Window(base=0x01000, words=256)
STAGING = Window(base=0x10000, words=16384)
DESCRIPTORS = Window(base=0x20000, words=4096)
BITMAPS = Window(base=0x30000, words=8192)
AFFINE = Window(base=0x40000, words=16384)
WEIGHTS = Window(base=0x80000, words=131072)

WINDOWS = {
    "layer_counters": LAYER_COUNTERS,
    "staging": STAGING,
    "descriptors": DESCRIPTORS,
    "bitmaps": BITMAPS,
    "affine": AFFINE,
    "weights": WEIGHTS,
}
"""The memory windows by name."""
