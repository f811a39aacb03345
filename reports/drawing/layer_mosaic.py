"""A layer's PE groups as a mosaic: a tile a group, output channels from left to right, input blocks from top to bottom.

A tile shows its trits, tap by tap from left to right and channel lane by channel lane downwards: +1 blue, -1 orange,
0 faint. A group without non-zero trits is a hatched tile. In a layer of very many groups a tile is one square, the
bluer the more of its trits are non-zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.network.kinds.convolution import Convolution
from tritforge.network.pe_groups import group_weights
from tritforge.reports.drawing.palette import BLUE, CLEAR, FAINT, ORANGE, TRACE

MOST_TILES = 2048
"""Groups of a layer whose trits are still drawn one by one."""
SQUARE = 6
HATCH = 4


def layer_mosaic(layer: Convolution, group_channels: int, most_tiles: int = MOST_TILES) -> NDArray[np.uint8]:
    """The mosaic as RGBA pixels ``(height, width, 4)``; a trit is one pixel, tiles are one pixel apart."""
    groups = group_weights(layer.weights, group_channels)
    outputs, count, taps, lanes = groups.shape
    if outputs * count <= most_tiles:
        tiles = _trit_colours(groups.transpose(0, 1, 3, 2))
        height, width = lanes, taps
    else:
        tiles = _density_colours((groups != 0).mean(axis=(2, 3)))
        height = width = SQUARE
    tiles[~groups.any(axis=(2, 3))] = _hatched(height, width)
    picture = np.zeros((count, height + 1, outputs, width + 1, 4), dtype=np.uint8)
    picture[:, :height, :, :width] = tiles.transpose(1, 2, 0, 3, 4)
    return picture.reshape(count * (height + 1), outputs * (width + 1), 4)[:-1, :-1]


def _trit_colours(trits: NDArray) -> NDArray[np.uint8]:
    colours = np.array([ORANGE, FAINT, BLUE], dtype=np.uint8)
    return colours[trits.astype(np.int64) + 1]


def _density_colours(density: NDArray) -> NDArray[np.uint8]:
    """Squares ``(N, G, SQUARE, SQUARE, 4)`` whose opacity is the fraction of non-zero trits."""
    colours = np.empty((*density.shape, 4), dtype=np.uint8)
    colours[:] = BLUE
    colours[..., 3] = np.rint(55 + 200 * density)
    return np.broadcast_to(colours[:, :, None, None], (*density.shape, SQUARE, SQUARE, 4)).copy()


def _hatched(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.indices((height, width))
    colours = np.array([CLEAR, TRACE], dtype=np.uint8)
    return colours[((rows + columns) % HATCH == 0).astype(np.int64)]
