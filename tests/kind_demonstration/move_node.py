"""A move in training: nothing is learned in it, its map is quantised like any other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from kind_demonstration.move_layer import Move
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.models.kinds.node import Affine, ExportSite, ModelSettings, Node, Size, map_step


@dataclass(frozen=True)
class MoveNode(Node):
    """Moves channel ``n`` by ``moves[n]`` rows and columns, each -1, 0 or 1."""

    kind = "move"
    exported = Move.kind

    name: str
    input: str
    inputs: int
    moves: tuple[tuple[int, int], ...]

    def size(self, size: Size) -> Size:
        return size

    def module(self, settings: ModelSettings) -> nn.Module:
        return MoveStage(self.moves, settings.quantiser(nn.ReLU()))

    def export(self, stage: nn.Module, site: ExportSite) -> Move:
        scale = np.full(self.inputs, site.steps[self.input] / map_step(stage))
        return self._layer(Affine.folded(self.name, scale, np.zeros(self.inputs)))

    def skeleton(self, stage: nn.Module, stored: NDArray[np.bool_] | None) -> Move:
        return self._layer(Affine.idle(self.inputs))

    def _layer(self, affine: Affine) -> Move:
        moves = np.array(self.moves, dtype=np.int16)
        return Move(self.name, self.input, moves, affine.multiplier, affine.bias, affine.shift)


class MoveStage(nn.Module):
    """Moves and quantises."""

    def __init__(self, moves: tuple[tuple[int, int], ...], activation: nn.Module) -> None:
        super().__init__()
        self.moves, self.activation = moves, activation

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        padded = functional.pad(maps, (1, 1, 1, 1))
        moved = [
            padded[:, channel, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]
            for channel, (rows, columns) in enumerate(self.moves)
        ]
        return self.activation(torch.stack(moved, dim=1))
