"""The registers that a host writes and reads back, the constants, and the events (``rtl/map/accelerator.rdl``)."""

from __future__ import annotations

from tritforge.overlay import register_map as rm
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import Register

WRITABLE = {
    Register.CONTROL: rm.CONTROL_ENABLE.mask | rm.CONTROL_LOAD.mask,
    Register.NEXT_VERSION: 0xFFFFFFFF,
    Register.STAGED: rm.STAGED_ENTRIES.mask,
    Register.BATCH: rm.BATCH_IMAGES.mask,
    Register.INTERRUPT_ENABLE: rm.INTERRUPT_ENABLE_MASK.mask,
}
"""Bits of each register that a write changes; all of them are 0 after a reset."""


class Registers:
    """Values of the registers that hold what was written, events, and what the build was made with."""

    def __init__(self, parameters: AcceleratorParameters) -> None:
        self.values = dict.fromkeys(WRITABLE, 0) | {Register.EVENTS: 0}
        self.values |= {
            Register.ID: rm.ID_VALUE,
            Register.MAP_VERSION: rm.MAP_VERSION_VALUE,
            Register.ARRAY: rm.ARRAY_PES.put(parameters.pes)
            | rm.ARRAY_GROUP_CHANNELS.put(parameters.group_channels)
            | rm.ARRAY_ACTIVATION_BITS.put(parameters.activation_bits)
            | rm.ARRAY_PASS_OUTPUTS.put(parameters.pass_outputs),
            Register.MEMORIES: rm.MEMORIES_LOG2_SLOTS.put(_log2(parameters.slots))
            | rm.MEMORIES_LOG2_FEATURE_WORDS.put(_log2(parameters.feature_words))
            | rm.MEMORIES_LOG2_STAGING.put(_log2(parameters.staging)),
            Register.TABLES: rm.TABLES_LOG2_BITMAPS.put(_log2(parameters.bitmap_words))
            | rm.TABLES_LOG2_AFFINE.put(_log2(parameters.affine_channels))
            | rm.TABLES_LOG2_DESCRIPTORS.put(_log2(parameters.descriptors)),
        }

    def write(self, register: Register, value: int) -> bool:
        """Write a register; False where it cannot be written."""
        if register is Register.EVENTS:
            self.values[register] &= ~value
            return True
        if register in WRITABLE:
            self.values[register] = value & WRITABLE[register]
            return True
        return False

    def tell(self, event: rm.Field) -> None:
        """Set an event."""
        self.values[Register.EVENTS] |= event.mask

    @property
    def enable(self) -> bool:
        """CONTROL.enable."""
        return bool(rm.CONTROL_ENABLE.get(self.values[Register.CONTROL]))

    @property
    def load(self) -> bool:
        """CONTROL.load."""
        return bool(rm.CONTROL_LOAD.get(self.values[Register.CONTROL]))

    @property
    def staged(self) -> int:
        """Entries that a commit copies."""
        return self.values[Register.STAGED]

    @property
    def next_version(self) -> int:
        """The version that activate or commit puts in force."""
        return self.values[Register.NEXT_VERSION]

    @property
    def batch(self) -> int:
        """Images after which TLAST is due; 0: never."""
        return self.values[Register.BATCH]


def _log2(value: int) -> int:
    return value.bit_length() - 1
