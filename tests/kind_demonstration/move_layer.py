"""A kind of network layer: every channel of a map moves by up to one pixel each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import requantise
from tritforge.network.document import LayerReader
from tritforge.network.layer import Frame, Layer, Maps, Shape


@dataclass(frozen=True, eq=False)
class Move(Layer):
    """``y[n, i, j] = requantise(x[n, i + rows[n], j + columns[n]])`` with zeros outside the map.

    ``moves`` holds ``(rows, columns)`` of each channel, ``(N, 2)`` int16, each -1, 0 or 1.
    """

    kind = "move"

    name: str
    input: str
    moves: NDArray[np.int16]
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: int

    @property
    def unsigned_sources(self) -> tuple[str, ...]:
        return self.sources

    def check(self, group_channels: int) -> None:
        super().check(group_channels)
        if self.moves.shape != (self.multiplier.size, 2) or np.abs(self.moves).max(initial=0) > 1:
            raise NetworkError(f"layer {self.name}: moves take two values from -1 to 1 for each channel")

    def shape(self, shapes: Mapping[str, Shape]) -> Shape:
        return shapes[self.input]

    def digest_arrays(self) -> Iterator[NDArray[Any]]:
        yield self.moves.astype("<i2")
        yield from super().digest_arrays()

    def frozen_arrays(self) -> dict[str, NDArray[Any]]:
        return {"moves": self.moves}

    def tensors(self, group_channels: int) -> dict[str, NDArray[Any]]:
        return super().tensors(group_channels) | {"moves": self.moves.astype("<i2")}

    @classmethod
    def read(cls, reader: LayerReader) -> Move:
        name, source = reader.record.text("name"), reader.record.text("input")
        channels = reader.source_channels(source)
        moves = reader.fetch(f"{name}.moves", "I16", (channels, 2)).astype(np.int16)
        return cls(name, source, moves, *reader.affine(name, channels), reader.record.integer("shift"))

    def run(self, frame: Frame, maps: Maps, active: int) -> NDArray[np.int64]:
        source = maps[self.input]
        height, width = source.shape[2:]
        padded = np.pad(source, ((0, 0), (0, 0), (1, 1), (1, 1)))
        moved = np.empty_like(source)
        for channel, (rows, columns) in enumerate(self.moves.tolist()):
            window = padded[:, channel, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]
            moved[:, channel] = window
        return requantise(moved, self.multiplier, self.bias, self.shift, frame.activation_bits)
