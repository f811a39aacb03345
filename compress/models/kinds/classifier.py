"""The fully connected layer that gives the logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tritforge.compress.layers.levels import as_float64, integer_weights
from tritforge.compress.layers.multi_bit import IntegerLinear
from tritforge.compress.layers.ternary import TernaryLinear
from tritforge.compress.models.kinds.node import Affine, ExportSite, ModelSettings, Node
from tritforge.network.kinds.convolution import Convolution


@dataclass(frozen=True)
class ClassifierNode(Node):
    """Fully connected layer from a 1x1 map to one logit a class."""

    kind = "classifier"
    exported = Convolution.kind

    name: str
    input: str
    inputs: int
    outputs: int

    def module(self, settings: ModelSettings) -> nn.Module:
        if settings.end_layers == "float":
            return ClassifierStage(nn.Linear(self.inputs, self.outputs))
        if settings.end_layers == "ternary":
            return ClassifierStage(TernaryLinear(self.inputs, self.outputs))
        return ClassifierStage(IntegerLinear(self.inputs, self.outputs, settings.end_layer_bits))

    def export(self, stage: nn.Module, site: ExportSite) -> Convolution:
        """Logits in steps of ``2**-S``: the shift that scales ``M`` and ``B`` is common to all classes and stays in."""
        assert isinstance(stage, ClassifierStage)
        weights, steps, bits = integer_weights(stage.linear)
        offset = as_float64(stage.linear.bias)
        return self._layer(weights, bits, Affine.folded(self.name, steps * site.steps[self.input], offset))

    def skeleton(self, stage: nn.Module, stored: NDArray[np.bool_] | None) -> Convolution:
        weights, _, bits = integer_weights(stage.linear)  # type: ignore[arg-type]
        return self._layer(weights, bits, Affine.idle(self.outputs))

    def _layer(self, weights: NDArray[np.int16], bits: int, affine: Affine) -> Convolution:
        rows = weights[:, :, None, None]
        return Convolution(self.name, self.input, rows, bits, 1, affine.multiplier, affine.bias, 0, logits=True)


class ClassifierStage(nn.Module):
    """Logits ``(B, classes)`` from a ``(B, C, 1, 1)`` map."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(maps.flatten(1))
