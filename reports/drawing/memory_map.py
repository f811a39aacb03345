"""A memory as a map, one cell a word in rows of equal length: words of one layer in one tint, changed words orange."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tritforge.reports.drawing.palette import FAINT, ORANGE, TRACE

COLUMNS = 128
CELL = 5
PITCH = CELL + 1


def memory_map(words: int, changed: Sequence[int], starts: Sequence[int] = ()) -> NDArray[np.uint8]:
    """The map as RGBA pixels ``(height, width, 4)``.

    Args:
        words: of the memory that the program uses.
        changed: addresses of the words that a patch writes.
        starts: first words of the parts that get alternating tints, rising; none for one tint.
    """
    part = np.searchsorted(np.asarray(starts), np.arange(words), side="right") % 2
    cells = np.array([FAINT, TRACE], dtype=np.uint8)[part]
    cells[np.asarray(changed, dtype=np.int64)] = ORANGE
    columns = min(words, COLUMNS)
    rows = -(-words // COLUMNS)
    grid = np.zeros((rows * columns, 4), dtype=np.uint8)
    grid[:words] = cells
    picture = np.zeros((rows, PITCH, columns, PITCH, 4), dtype=np.uint8)
    picture[:, :CELL, :, :CELL] = grid.reshape(rows, 1, columns, 1, 4)
    return picture.reshape(rows * PITCH, columns * PITCH, 4)[:-1, :-1]
