"""The same ternary convolution as a Brevitas layer, for users whose flow is built on Brevitas.

Brevitas' own ternary quantisers use a constant scale or stop the gradient in the dead zone, so this module brings the
quantiser of :mod:`tritforge.compress.layers.ternary` as a weight quantiser of Brevitas. Trits and gradients are
identical, and so are the names in the state dictionary: a checkpoint moves freely between the two forms.
"""

from __future__ import annotations

import torch
from brevitas.nn import QuantConv2d
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjector
from brevitas.quant.solver.weight import WeightQuantSolver
from torch import Tensor, nn

from tritforge.compress.layers.ternary import TernaryScale, ternarise, ternary_scale, to_trits


class TernaryTensorQuant(nn.Module):
    """Weights to ``(scale * trit, scale, zero point 0, bit width 2)``, as a Brevitas tensor quantiser gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bit_width", torch.tensor(2.0), persistent=False)
        self.register_buffer("zero_point", torch.tensor(0.0), persistent=False)

    def forward(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return ternarise(weights), ternary_scale(weights).scale, self.zero_point, self.bit_width


class TernaryWeightQuant(WeightQuantSolver):
    """Weight quantiser to give as ``weight_quant`` to a Brevitas layer.

    Brevitas' QONNX export stores raw weights and the scale; a reader that rounds their ratio gets other trits. Export
    through :mod:`tritforge.compress.export.export`, which writes the trits themselves.
    """

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = TernaryTensorQuant
    float_to_int_impl_type = "round"
    quant_type = "int"
    bit_width = 2
    signed = True
    narrow_range = True


class BrevitasTernaryConv2d(QuantConv2d):
    """Drop-in for :class:`tritforge.compress.layers.ternary.TernaryConv2d` made of Brevitas parts."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            bias=False,
            weight_quant=TernaryWeightQuant,
        )

    def current_scale(self) -> TernaryScale:
        """The threshold and scale that the next forward pass uses."""
        return ternary_scale(self.weight)

    def trits(self) -> Tensor:
        """The layer's trits ``(N, C, K, K)``, fp32."""
        return to_trits(self.weight, self.current_scale().threshold)
