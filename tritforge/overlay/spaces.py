"""The memory spaces: the memories that a program fills and an update changes, each said once, here.

A space is known by its name in images and files, and by its code in staged entries and on the program port of the
accelerator. Its words have up to 36 bits; on the 32-bit bus a word takes ``bus_words``, lowest bits first. The RTL
package with the codes is generated from this table (``python -m tritforge.rtl.generate``), the windows' places come
from the register map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tritforge.errors import ProgramError
from tritforge.overlay.descriptor import FRAME_WORDS
from tritforge.overlay.pair_coding import WORD_BITS as PAIRS_BITS
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.register_map import WINDOWS, Window

BUS_BITS = 32
WORD_BITS = 36
"""Bits of the widest word."""
ADDRESS_BITS = 18
"""Bits of a word address."""
SPACE_BITS = 4
"""Bits of a code."""
ENTRY_SPACE_LOW = 24
"""Lowest bit of the code in the third bus word of a staged entry; the address begins at bit 0."""
ENTRY_BUS_WORDS = 4
"""Bus words from one staged entry to the next; the fourth is not used."""


BusWords = NDArray[np.uint32]
"""32-bit words as they go over the bus."""
Words = NDArray[np.uint64]

ENTRY = np.dtype([("space", "u1"), ("address", "<u4"), ("word", "<u8")])
"""A word and its place: code of the space, word address, content."""
Entries = np.ndarray
"""One row of ``ENTRY``."""


@dataclass(frozen=True)
class Space:
    """One memory.

    Attributes:
        name: in images, files and, in capitals, of its window in the register map.
        code: in staged entries; codes count from 0 in the order of the table.
        word_bits: bits of a word, at most ``WORD_BITS``.
        depth: the parameter that counts the memory's entries.
        entry_words: words in an entry, for an accelerator.
        meaning: what a word holds.
    """

    name: str
    code: int
    word_bits: int
    depth: str
    entry_words: Callable[[AcceleratorParameters], int]
    meaning: str

    @property
    def bus_words(self) -> int:
        """32-bit words that a word takes on the bus."""
        return -(-self.word_bits // BUS_BITS)

    @property
    def window(self) -> Window:
        """Where the space lies in the register map."""
        return WINDOWS[self.name]

    def words(self, parameters: AcceleratorParameters) -> int:
        """Words that the accelerator's memory holds."""
        return int(getattr(parameters, self.depth)) * self.entry_words(parameters)

    def offset(self, address: int) -> int:
        """Byte offset of the word at ``address`` in the register map."""
        return self.window.base + address * self.bus_words * BUS_BITS // 8

    def to_bus(self, words: ArrayLike) -> BusWords:
        """The bus words of ``words``, those of a word lowest bits first."""
        parts = np.ascontiguousarray(words, dtype="<u8").view("<u4").reshape(-1, 2)
        return parts[:, : self.bus_words].reshape(-1)

    def from_bus(self, parts: BusWords) -> Words:
        """Inverse of :meth:`to_bus`."""
        rows = parts.reshape(-1, self.bus_words)
        whole = np.zeros((len(rows), 2), dtype="<u4")
        whole[:, : self.bus_words] = rows
        return whole.view("<u8").reshape(-1).astype(np.uint64)


TABLE = (
    Space(
        "descriptors",
        code=0,
        word_bits=32,
        depth="descriptors",
        entry_words=lambda _: FRAME_WORDS,
        meaning="program header and layer descriptors, in frames",
    ),
    Space(
        "bitmaps",
        code=1,
        word_bits=32,
        depth="bitmap_words",
        entry_words=lambda _: 1,
        meaning="stored and active bits of `C_g` output channels",
    ),
    Space(
        "affine",
        code=2,
        word_bits=32,
        depth="affine_channels",
        entry_words=lambda _: 2,
        meaning="`M` and `B` of an output channel, two words",
    ),
    Space(
        "weights",
        code=3,
        word_bits=PAIRS_BITS,
        depth="slots",
        entry_words=lambda parameters: parameters.words_per_slot,
        meaning="nine pairs of trits of a group; `C_g / 2` words to a slot",
    ),
)
"""Every space, in the order of the codes."""

SPACES = tuple(space.name for space in TABLE)
"""Names of the spaces; the place of a name is its code."""


def space_named(name: str) -> Space:
    """The space of this name; raises ProgramError when there is none."""
    for space in TABLE:
        if space.name == name:
            return space
    raise ProgramError(f"there is no memory space {name!r}; there are {', '.join(SPACES)}")


def space_coded(code: int) -> Space:
    """The space of this code; raises ProgramError when there is none."""
    if not 0 <= code < len(TABLE):
        raise ProgramError(f"there is no memory space {code}; there are 0 to {len(TABLE) - 1}")
    return TABLE[code]


def entries_to_bus(entries: Entries) -> BusWords:
    """Staged entries as the bus words that store them, ``(entries, 3)``: the word in two, then code and address."""
    places = entries["space"].astype(np.uint32) << ENTRY_SPACE_LOW | entries["address"]
    words = np.ascontiguousarray(entries["word"]).view("<u4").reshape(-1, 2)
    return np.column_stack([words, places]).astype(np.uint32)


def entries_from_bus(rows: BusWords) -> Entries:
    """Inverse of :func:`entries_to_bus`; more words in a row are left out."""
    entries = np.zeros(len(rows), dtype=ENTRY)
    entries["word"] = rows[:, 0] | rows[:, 1].astype(np.uint64) << np.uint64(BUS_BITS)
    entries["space"] = rows[:, 2] >> ENTRY_SPACE_LOW
    entries["address"] = rows[:, 2] & ((1 << ADDRESS_BITS) - 1)
    return entries
