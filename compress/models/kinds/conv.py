"""A convolution, its batch norm, an optional residual and the one quantisation after all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.layers.fused_stage import fused_stage, fusible
from tritforge.compress.layers.levels import as_float64, integer_weights
from tritforge.compress.layers.multi_bit import IntegerConv2d
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.models.kinds.node import Affine, ExportSite, ModelSettings, Node, Size, map_step
from tritforge.network.arithmetic import output_size
from tritforge.network.kinds.convolution import TERNARY_BITS, Convolution
from tritforge.network.pe_groups import nonzero_groups

Role = Literal["stem", "conv", "conv1", "conv2", "shortcut", "hidden"]


@dataclass(frozen=True)
class ConvNode(Node):
    """A convolution padded to ``ceil(size / stride)`` pixels, its batch norm, an optional residual, one requantisation.

    A layer that is not rectified has no ReLU and no requantisation: the projection of a shortcut.

    Attributes:
        stage: part of the network that the layer belongs to, in order; that of a residual network's stem is 0.
        block: residual block of the stage, from 1; 0 outside of blocks.
        role: what the layer is there: ``stem``, ``conv1``, ``conv2`` or ``shortcut`` in a residual network, else
            ``conv`` or ``hidden``.
    """

    kind = "conv"
    exported = Convolution.kind

    name: str
    input: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    ternary: bool = True
    residual: str | None = None
    rectified: bool = True
    stage: int = 0
    block: int = 0
    role: Role = "conv"

    def size(self, size: Size) -> Size:
        return output_size(size[0], self.stride), output_size(size[1], self.stride)

    def why_not_integer(self) -> str | None:
        if self.kernel not in (1, 3):
            return f"layer {self.name} has a {self.kernel}x{self.kernel} kernel; the integer network has 1x1 and 3x3"
        if self.stride > 2:
            return f"layer {self.name} moves by {self.stride} pixels; the integer network moves by 1 or 2"
        if not self.rectified:
            return f"layer {self.name} gives negative values, and maps of the integer network are unsigned"
        return None

    def module(self, settings: ModelSettings) -> nn.Module:
        conv = self._convolution(settings)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
        if not self.rectified:
            return ConvStage(conv, self.outputs, nn.Identity())
        return ConvStage(conv, self.outputs, settings.quantiser(nn.ReLU()), settings.fused)

    def _convolution(self, settings: ModelSettings) -> nn.Module:
        shape = (self.inputs, self.outputs, self.kernel, self.stride)
        if self.ternary and settings.precision == "ternary":
            return settings.ternary_layer(*shape)
        if self.ternary or settings.end_layers == "float":
            return nn.Conv2d(*shape, padding=self.kernel // 2, bias=False)
        return (
            TernaryConv2d(*shape)
            if settings.end_layers == "ternary"
            else IntegerConv2d(*shape, settings.end_layer_bits)
        )

    def export(self, stage: nn.Module, site: ExportSite) -> Convolution:
        assert isinstance(stage, ConvStage)
        weights, weight_steps, bits = integer_weights(stage.conv)
        stored = None
        if self.ternary:
            kept = nonzero_groups(weights, site.group_channels) if site.stored is None else site.stored[self.name]
            stored = kept.copy()
        gain = as_float64(stage.norm.weight) / np.sqrt(as_float64(stage.norm.running_var) + stage.norm.eps)
        offset = as_float64(stage.norm.bias) - gain * as_float64(stage.norm.running_mean)
        step = map_step(stage)
        affine = Affine.folded(
            self.name,
            gain * weight_steps * site.steps[self.input] / step,
            offset / step,
            0.0 if self.residual is None else site.steps[self.residual] / step,
        )
        return self._layer(weights, bits, affine, stored)

    def skeleton(self, stage: nn.Module, stored: NDArray[np.bool_] | None) -> Convolution:
        affine = Affine.idle(self.outputs, self.residual is not None)
        if stored is not None:
            weights = np.zeros((self.outputs, self.inputs, self.kernel, self.kernel), np.int16)
            return self._layer(weights, TERNARY_BITS, affine, stored)
        weights, _, bits = integer_weights(stage.conv)  # type: ignore[arg-type]
        return self._layer(weights, bits, affine, None)

    def _layer(
        self, weights: NDArray[np.int16], bits: int, affine: Affine, stored: NDArray[np.bool_] | None
    ) -> Convolution:
        return Convolution(
            self.name,
            self.input,
            weights,
            bits if stored is None else TERNARY_BITS,
            self.stride,
            affine.multiplier,
            affine.bias,
            affine.shift,
            residual=self.residual,
            residual_multiplier=affine.residual,
            stored=stored,
            active=() if stored is None else (stored.copy(),),
        )


def option_a(source: Tensor, like: Tensor) -> Tensor:
    """Option-A shortcut: every second pixel where the map shrank, and equally many zero channels on each side."""
    if source.shape == like.shape:
        return source
    return _OptionA.apply(source, 1 if source.shape[2:] == like.shape[2:] else 2, like.shape[1])


class _OptionA(torch.autograd.Function):
    """The shortcut with a gradient in the source's memory layout: autograd's own is in another, and slow to add."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, stride: int, channels: int) -> Tensor:
        zeros = (channels - source.shape[1]) // 2
        ctx.save_for_backward(source)
        ctx.taken = slice(zeros, channels - zeros), slice(None, None, stride)
        return functional.pad(source[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros, zeros))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (source,) = ctx.saved_tensors
        channels, pixels = ctx.taken
        gradient = torch.zeros_like(source)
        gradient[:, :, pixels, pixels] = gradients[0][:, channels]
        return gradient, None, None


class ConvStage(nn.Module):
    """Convolution, batch norm, residual, and the only quantisation after all three.

    Args:
        conv: the convolution.
        outputs: its output channels.
        activation: ReLU, quantiser or nothing.
        fused: train by :mod:`tritforge.compress.layers.fused_stage` where it can.
    """

    def __init__(self, conv: nn.Module, outputs: int, activation: nn.Module, fused: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation
        self.fused = fused

    def forward(self, maps: Tensor, residual: Tensor | None = None) -> Tensor:
        values = self.conv(maps)
        shortcut = None if residual is None else option_a(residual, values)
        if self.fused and fusible(values, self.norm, self.activation):
            return fused_stage(values, shortcut, self.norm, self.activation)
        values = self.norm(values)
        return self.activation(values if shortcut is None else values + shortcut)
