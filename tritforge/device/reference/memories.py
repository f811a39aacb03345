"""Program memories and staging of the reference device, and the bus words that fill them (``memory_windows.sv``).

A word of several bus words is stored with its last one; the parts before it are held until then, whoever wrote them.
"""

from __future__ import annotations

import numpy as np

from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.spaces import (
    ADDRESS_BITS,
    BUS_BITS,
    ENTRY,
    ENTRY_BUS_WORDS,
    ENTRY_SPACE_LOW,
    TABLE,
    WORD_BITS,
    BusWords,
    Words,
    entries_from_bus,
    entries_to_bus,
    space_named,
)

PLACE_WORD = 2
"""Bus word of a staged entry that names its place, and stores it."""

HIGH_MASK = (1 << (WORD_BITS - BUS_BITS)) - 1
"""Bits of a wide word's second bus word that are kept."""


class ProgramMemories:
    """The words of every memory space, at first any.

    Attributes:
        images: words by space, as deep as the memories.
        changes: counts the writes, so that what was derived from the words can be told to be old.
    """

    def __init__(self, parameters: AcceleratorParameters, rng: np.random.Generator) -> None:
        self.parameters = parameters
        self.images: dict[str, Words] = {
            space.name: rng.integers(0, 1 << space.word_bits, space.words(parameters), dtype=np.uint64)
            for space in TABLE
        }
        self.changes = 0
        self._low = 0

    def write(self, space: str, address: int, word: int) -> None:
        """Write a word; beyond the end of the memory nothing happens."""
        if address < self.images[space].size:
            self.images[space][address] = word & ((1 << space_named(space).word_bits) - 1)
            self.changes += 1

    def write_bus(self, space: str, first: int, parts: BusWords) -> bool:
        """Write bus words from the window's word ``first`` on; False where some lie beyond the memory's end."""
        memory, width = self.images[space], space_named(space).bus_words
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
        memory = space_named(space)
        width = memory.bus_words
        low, high = first // width, -(-(first + count) // width)
        words = np.zeros(high - low, dtype=np.uint64)
        held = self.images[space][low:high]
        words[: held.size] = held
        return memory.to_bus(words)[first - low * width :][:count]


class Staging:
    """Staged entries, at first any."""

    def __init__(self, depth: int, rng: np.random.Generator) -> None:
        self.entries = np.zeros(depth, dtype=ENTRY)
        self.entries["space"] = rng.integers(0, len(TABLE), depth)
        self.entries["address"] = rng.integers(0, 1 << ADDRESS_BITS, depth)
        self.entries["word"] = rng.integers(0, 1 << WORD_BITS, depth, dtype=np.uint64)
        self._word = [0, 0]

    def write_bus(self, first: int, parts: BusWords) -> bool:
        """Write bus words from the window's word ``first`` on; False where one of them has no place."""
        accepted = True
        for place, part in enumerate(parts.tolist(), start=first):
            index, which = divmod(place, ENTRY_BUS_WORDS)
            unknown = which == PLACE_WORD and part >> ENTRY_SPACE_LOW >= len(TABLE)
            if index >= self.entries.size or which > PLACE_WORD or unknown:
                accepted = False
            elif which == 0:
                self._word[0] = part
            elif which == 1:
                self._word[1] = part & HIGH_MASK
            else:
                row = np.array([[*self._word, part]], dtype=np.uint32)
                self.entries[index] = entries_from_bus(row)[0]
        return accepted

    def read_bus(self, first: int, count: int) -> BusWords:
        """Bus words from the window's word ``first`` on; 0 beyond the end, and for the word that holds nothing."""
        low, high = first // ENTRY_BUS_WORDS, -(-(first + count) // ENTRY_BUS_WORDS)
        rows: BusWords = np.zeros((high - low, ENTRY_BUS_WORDS), dtype=np.uint32)
        held = entries_to_bus(self.entries[low:high])
        rows[: len(held), : held.shape[1]] = held
        return rows.reshape(-1)[first - low * ENTRY_BUS_WORDS :][:count]
