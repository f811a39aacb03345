"""Pools: the global average, which the integer network has, and the largest of 3x3 pixels, which is only trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tritforge.compress.models.kinds.node import Affine, ExportSite, ModelSettings, Node, Size, map_step
from tritforge.network.kinds.average_pool import AveragePool


@dataclass(frozen=True)
class PoolNode(Node):
    """Global average pool over ``inputs`` channels, requantised."""

    kind = "average_pool"
    exported = AveragePool.kind

    name: str
    input: str
    inputs: int

    def module(self, settings: ModelSettings) -> nn.Module:
        return PoolStage(settings.quantiser(nn.Identity()))

    def export(self, stage: nn.Module, site: ExportSite) -> AveragePool:
        rows, columns = site.sizes[self.input]
        scale = np.full(self.inputs, site.steps[self.input] / (rows * columns * map_step(stage)))
        return self._layer(Affine.folded(self.name, scale, np.zeros(self.inputs)))

    def skeleton(self, stage: nn.Module, stored: NDArray[np.bool_] | None) -> AveragePool:
        return self._layer(Affine.idle(self.inputs))

    def _layer(self, affine: Affine) -> AveragePool:
        return AveragePool(self.name, self.input, affine.multiplier, affine.bias, affine.shift)


class PoolStage(nn.Module):
    """Global average pool to ``(B, C, 1, 1)`` and its quantisation."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(maps.mean(dim=(2, 3), keepdim=True))


@dataclass(frozen=True)
class MaxPoolNode(Node):
    """Largest of 3x3 pixels in steps of two, over ``inputs`` channels; ``padding`` pixels at each edge never win."""

    kind = "max_pool"

    name: str
    input: str
    inputs: int
    padding: int
    kernel: int = 3
    stride: int = 2

    def size(self, size: Size) -> Size:
        rows, columns = ((pixels + 2 * self.padding - self.kernel) // self.stride + 1 for pixels in size)
        return rows, columns

    def why_not_integer(self) -> str | None:
        return f"layer {self.name} is a max pool, which the integer network does not have"

    def module(self, settings: ModelSettings) -> nn.Module:
        return nn.MaxPool2d(self.kernel, self.stride, self.padding)
