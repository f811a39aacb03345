"""The banks of feature-map words, read and written map by map (addresses: :mod:`tritforge.overlay.map_layout`)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tritforge.overlay.parameters import TILE_SHAPES, AcceleratorParameters


class MapPlace(NamedTuple):
    """Where a map lies: first bank word, words from a row chunk to the next, channel blocks, pixels, and their step."""

    base: int
    row_stride: int
    blocks: int
    height: int
    width: int
    step: int = 1


class FeatureBanks:
    """As many banks as a tile has pixels, of words of ``C_g`` activations; at first any."""

    def __init__(self, parameters: AcceleratorParameters, rng: np.random.Generator) -> None:
        self._pes = parameters.pes
        shape = (parameters.pes, parameters.feature_words, parameters.group_channels)
        self._words = rng.integers(0, 1 << parameters.activation_bits, shape, dtype=np.int64)

    def read(self, place: MapPlace) -> NDArray[np.int64]:
        """The map ``(channels, height, width)``, channels in whole blocks."""
        banks, words = _addresses(self._pes, self._words.shape[1], place)
        pixels = self._words[banks, words]
        return pixels.reshape(place.height, place.width, -1).transpose(2, 0, 1)

    def write(self, place: MapPlace, values: NDArray[np.int64]) -> None:
        """Write the map ``(channels, height, width)``, channels in whole blocks."""
        banks, words = _addresses(self._pes, self._words.shape[1], place)
        lanes = self._words.shape[2]
        self._words[banks, words] = values.transpose(1, 2, 0).reshape(place.height, place.width, place.blocks, lanes)


@lru_cache(maxsize=256)
def _addresses(pes: int, depth: int, place: MapPlace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bank and word of every pixel and block, ``(height, width, 1)`` and ``(height, width, blocks)``."""
    rows, columns = TILE_SHAPES[pes]
    y = (1 + place.step * np.arange(place.height))[:, None, None]
    x = (1 + place.step * np.arange(place.width))[None, :, None]
    words = place.base + y // rows * place.row_stride + x // columns * place.blocks + np.arange(place.blocks)
    return y % rows * columns + x % columns, words % depth
