"""Program memories and staging of the reference device, and the bus words that fill them (``memory_windows.sv``).

A word of several bus words is stored with its last one; the parts before it are held until then, whoever wrote them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.device.entries import ENTRY, Words
from tritforge.device.protocol import ADDRESS_MASK, BUS_WORDS, SPACE_SHIFT, STAGED_WORDS, BusWords
from tritforge.overlay.descriptor import FRAME_WORDS
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import SPACES, WORD_BITS

HIGH_MASK = 15
"""Bits of a 36-bit word's second bus word that are kept."""


def memory_words(parameters: AcceleratorParameters) -> dict[str, int]:
    """Words of each program memory."""
    return {
        "descriptors": parameters.descriptors * FRAME_WORDS,
        "bitmaps": parameters.bitmap_words,
        "affine": 2 * parameters.affine_channels,
        "weights": parameters.slots * parameters.words_per_slot,
    }


class ProgramMemories:
    """The words of every memory space, at first any.

    Attributes:
        images: words by space, as deep as the memories.
        changes: counts the writes, so that what was derived from the words can be told to be old.
    """

    def __init__(self, parameters: AcceleratorParameters, rng: np.random.Generator) -> None:
        self.parameters = parameters
        self.images: dict[str, Words] = {
            space: rng.integers(0, 1 << WORD_BITS[space], count, dtype=np.uint64)
            for space, count in memory_words(parameters).items()
        }
        self.changes = 0
        self._low = 0

    def write(self, space: str, address: int, word: int) -> None:
        """Write a word; beyond the end of the memory nothing happens."""
        if address < self.images[space].size:
            self.images[space][address] = word & ((1 << WORD_BITS[space]) - 1)
            self.changes += 1

    def write_bus(self, space: str, first: int, parts: BusWords) -> bool:
        """Write bus words from the window's word ``first`` on; False where some lie beyond the memory's end."""
        memory, width = self.images[space], BUS_WORDS[space]
        place = first + np.arange(parts.size)
        inside = place // width < memory.size
        place, parts = place[inside], parts[inside]
        if width == 1:
            memory[place] = parts
        elif parts.size:
            before = np.concatenate([[self._low], parts[:-1]]).astype(np.uint64)
            ends = place % 2 == 1
            memory[place[ends] // 2] = (parts[ends].astype(np.uint64) & np.uint64(HIGH_MASK)) << np.uint64(32) | before[
                ends
            ]
            if not ends.all():
                self._low = int(parts[~ends][-1])
        self.changes += 1
        return bool(inside.all())

    def read_bus(self, space: str, first: int, count: int) -> BusWords:
        """Bus words from the window's word ``first`` on; 0 beyond the memory's end."""
        width = BUS_WORDS[space]
        low, high = first // width, -(-(first + count) // width)
        held = self.images[space][low:high]
        words = np.zeros(high - low, dtype="<u8")
        words[: held.size] = held
        parts = words.view("<u4").reshape(-1, 2)[:, :width].reshape(-1)
        return parts[first - low * width :][:count]


class Staging:
    """Staged entries, at first any."""

    def __init__(self, depth: int, rng: np.random.Generator) -> None:
        self.entries = np.zeros(depth, dtype=ENTRY)
        self.entries["space"] = rng.integers(0, len(SPACES), depth)
        self.entries["address"] = rng.integers(0, ADDRESS_MASK + 1, depth)
        self.entries["word"] = rng.integers(0, 1 << 36, depth, dtype=np.uint64)
        self._word = [0, 0]

    def write_bus(self, first: int, parts: BusWords) -> bool:
        """Write bus words from the window's word ``first`` on; False where one of them has no place."""
        accepted = True
        for place, part in enumerate(parts.tolist(), start=first):
            index, which = divmod(place, STAGED_WORDS)
            if index >= self.entries.size or which == STAGED_WORDS - 1:
                accepted = False
            elif which == 0:
                self._word[0] = part
            elif which == 1:
                self._word[1] = part & HIGH_MASK
            else:
                space, address = part >> SPACE_SHIFT & (len(SPACES) - 1), part & ADDRESS_MASK
                self.entries[index] = space, address, self._word[1] << 32 | self._word[0]
        return accepted

    def read_bus(self, first: int, count: int) -> BusWords:
        """Bus words from the window's word ``first`` on; 0 beyond the end, and for the word that holds nothing."""
        low, high = first // STAGED_WORDS, -(-(first + count) // STAGED_WORDS)
        held = self.entries[low:high]
        rows: NDArray[np.uint32] = np.zeros((high - low, STAGED_WORDS), dtype=np.uint32)
        rows[: held.size, 0] = held["word"] & np.uint64(0xFFFFFFFF)
        rows[: held.size, 1] = held["word"] >> np.uint64(32)
        rows[: held.size, 2] = held["space"].astype(np.uint32) << SPACE_SHIFT | held["address"]
        return rows.reshape(-1)[first - low * STAGED_WORDS :][:count]
