"""Where feature maps lie in the banked feature-map memory.

A word holds ``C_g`` channels of one pixel. The banks form the tile shape, ``rows x columns``. Pixel ``(y, x)`` lives
in bank ``((y + 1) mod rows, (x + 1) mod columns)``, at ``base + ((y + 1) // rows) * row_stride + ((x + 1) // columns) *
blocks + block``. The offset of one makes the windows of a tile start on a chunk: what all banks give in one cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.overlay.parameters import AcceleratorParameters


@dataclass(frozen=True)
class MapLayout:
    """Size of one map in every bank: ``row_stride`` words a row chunk, ``words`` in all."""

    blocks: int
    row_stride: int
    words: int


def map_layout(parameters: AcceleratorParameters, shape: tuple[int, int, int]) -> MapLayout:
    """Layout of a ``(channels, height, width)`` map; up to four input channels share one block."""
    channels, height, width = shape
    blocks = -(-channels // parameters.group_channels)
    row_stride = (width // parameters.tile_columns + 1) * blocks
    return MapLayout(blocks, row_stride, (height // parameters.tile_rows + 1) * row_stride)


class MapAllocator:
    """First-fit allocation of bank words; maps are freed after their last reader."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int]] = []
        self.high_water = 0

    def allocate(self, words: int) -> int:
        """First bank word of a free run of ``words``."""
        start = 0
        for taken, end in sorted(self._taken):
            if start + words <= taken:
                break
            start = max(start, end)
        self._taken.append((start, start + words))
        self.high_water = max(self.high_water, start + words)
        return start

    def free(self, start: int) -> None:
        """Give back the run that starts at ``start``."""
        self._taken = [run for run in self._taken if run[0] != start]
