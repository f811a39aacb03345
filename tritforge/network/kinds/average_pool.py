"""The global average pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tritforge.network.arithmetic import requantise
from tritforge.network.document import LayerReader
from tritforge.network.layer import Frame, Layer, Maps, Shape


@dataclass(frozen=True, eq=False)
class AveragePool(Layer):
    """Global average pool: the exact sum over a map, requantised per channel to ``A`` bits on a 1x1 map."""

    kind = "average_pool"

    name: str
    input: str
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: int

    @property
    def unsigned_sources(self) -> tuple[str, ...]:
        return self.sources

    def shape(self, shapes: Mapping[str, Shape]) -> Shape:
        return shapes[self.input][0], 1, 1

    @classmethod
    def read(cls, reader: LayerReader) -> AveragePool:
        record = reader.record
        name, source = record.text("name"), record.text("input")
        multiplier, bias = reader.affine(name, reader.source_channels(source))
        return cls(name, source, multiplier, bias, record.integer("shift"))

    def run(self, frame: Frame, maps: Maps, active: int) -> NDArray[np.int64]:
        total = maps[self.input].sum(axis=(2, 3), keepdims=True)
        return requantise(total, self.multiplier, self.bias, self.shift, frame.activation_bits)
