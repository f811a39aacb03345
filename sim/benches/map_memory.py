"""A feature map of random words in its banks, as the readers of feature maps see it."""

from __future__ import annotations

import random

from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.records import split

Bank = tuple[int, int]


def bank_addresses(chunks: int, pes: int) -> list[int]:
    """Address of every bank, row by row, from those of a tile's chunk and of the next ones by rows and columns."""
    (rows, columns), addresses = TILE_SHAPES[pes], split(chunks, 16, 4)
    return [addresses[2 * (row == 0) + (column == 0)] for row in range(rows) for column in range(columns)]


def window_addresses(halves: int, pes: int) -> list[int]:
    """Address of every bank, row by row, from those of the rows from half of them on and of those before, each of the
    columns from 1 on and of column 0."""
    (rows, columns), addresses = TILE_SHAPES[pes], split(halves, 16, 4)
    return [addresses[2 * (2 * row < rows) + (column == 0)] for row in range(rows) for column in range(columns)]


class MapMemory:
    """Banks that hold one map; everything else in them is noise.

    Args:
        numbers: random source.
        pes: P, which gives the banks.
        shape: blocks, rows and columns of the map.
        base: its first bank word.
        word_bits: bits of a word.
    """

    def __init__(
        self, numbers: random.Random, pes: int, shape: tuple[int, int, int], base: int, word_bits: int
    ) -> None:
        self.numbers, self.word_bits = numbers, word_bits
        self.rows, self.columns = TILE_SHAPES[pes]
        self.blocks, self.height, self.width = shape
        self.row_stride = (self.width // self.columns + 1) * self.blocks
        self.pixels: dict[tuple[int, int, int], int] = {}
        self.banks: dict[tuple[Bank, int], int] = {}
        self.rows_of: dict[tuple[Bank, int], int] = {}
        self.written = self.height  # rows that are there; the others are noise still
        for y in range(self.height):
            for x in range(self.width):
                for block in range(self.blocks):
                    word = numbers.getrandbits(word_bits)
                    chunk = (y + 1) // self.rows * self.row_stride + (x + 1) // self.columns * self.blocks
                    bank = (y + 1) % self.rows, (x + 1) % self.columns
                    self.pixels[block, y, x] = word
                    place = bank, (base + chunk + block) % (1 << 16)
                    self.banks[place], self.rows_of[place] = word, y

    def read(self, addresses: list[int]) -> list[int]:
        """A word of every bank, row by row; noise where the map has none."""
        words = []
        for index, address in enumerate(addresses):
            place = divmod(index, self.columns), address
            there = self.rows_of.get(place, self.written) < self.written
            words.append(self.banks[place] if there else self.numbers.getrandbits(self.word_bits))
        return words

    def pixel(self, block: int, y: int, x: int) -> int | None:
        """A word of the map; None outside it."""
        return self.pixels.get((block, y, x))
