"""Reads what the map trace of a simulation wrote, back into feature maps and logits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import TritforgeError
from tritforge.network.reference import Maps
from tritforge.overlay.descriptor import FRAME_WORDS, LAYER, unpack
from tritforge.overlay.program import OverlayProgram

RESET = "r\n"
"""What a trace says of a reset: the image before it may be cut off."""


def split_images(path: Path) -> Iterator[str]:
    """The lines of a trace file, image by image; a reset is a part of its own, :data:`RESET`."""
    part: list[str] = []
    with path.open(encoding="ascii") as file:
        for line in file:
            if line in ("i\n", RESET) and part:
                yield "".join(part)
                part = []
            part.append(line)
    if part:
        yield "".join(part)


def traced_maps(trace: str, program: OverlayProgram) -> Maps:
    """Every map of one image, from its lines of the trace.

    Returns:
        Maps by layer name, ``(channels, height, width)`` int64; logits are ``(classes, 1, 1)``. Pixels and channels
        that were never written hold -1.

    Raises:
        TritforgeError: a line is none of a trace.
    """
    descriptors = program.images["descriptors"].reshape(-1, FRAME_WORDS)
    layers = [unpack(LAYER, frame) for frame in descriptors[1:]]
    maps = _blank_maps(program, layers)
    quads = 0
    for line in trace.splitlines():
        kind, *rest = line.split(" ")
        if kind == "t":
            index = int(rest[0], 16)
            _place_tile(maps[program.layer_names[index]], layers[index], program, int(rest[1], 16), rest[2])
        elif kind == "l":
            logits = maps[program.layer_names[-1]][:, 0, 0]
            quad = [_signed(int(rest[0][place : place + 12], 16)) for place in (36, 24, 12, 0)]
            logits[4 * quads : 4 * quads + 4] = quad[: len(logits) - 4 * quads]
            quads += 1
        elif kind != "i":
            raise TritforgeError(f"{line[:20]!r} is no line of a map trace")
    return maps


def _blank_maps(program: OverlayProgram, layers: list[dict[str, int]]) -> Maps:
    return {
        name: np.full((layer["outputs"], layer["output_height"], layer["output_width"]), -1, dtype=np.int64)
        for name, layer in zip(program.layer_names, layers, strict=True)
    }


def _place_tile(
    target: NDArray[np.int64], layer: dict[str, int], program: OverlayProgram, word: int, text: str
) -> None:
    """Put one tile into a map ``(channels, height, width)``; pixels beyond its edges fall away."""
    parameters = program.parameters
    rows, columns = parameters.tile_rows, parameters.tile_columns
    lanes, bits = parameters.group_channels, parameters.activation_bits
    # The first pixel of a tile of one row lies in the next row chunk, see tritforge.overlay.map_layout.
    word -= layer["output_base"] + (layer["output_row_stride"] if rows == 1 else 0)
    tile_y, rest = divmod(word, layer["output_row_stride"])
    tile_x, block = divmod(rest, layer["output_blocks"])
    values = np.frombuffer(bytes.fromhex(text), dtype=f">u{bits // 8}")[::-1].reshape(rows, columns, lanes)
    values = np.roll(values, (-1, -1), axis=(0, 1))
    y, x = tile_y * rows, tile_x * columns
    view = target[block * lanes : (block + 1) * lanes, y : y + rows, x : x + columns]
    view[:] = values.transpose(2, 0, 1)[: view.shape[0], : view.shape[1], : view.shape[2]]


def _signed(value: int, bits: int = 48) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
