"""What a node of a topology is while it trains: convolution, batch norm, residual and quantisation as one module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.layers.fused_stage import fused_stage, fusible


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


class PoolStage(nn.Module):
    """Global average pool to ``(B, C, 1, 1)`` and its quantisation."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(maps.mean(dim=(2, 3), keepdim=True))


class ClassifierStage(nn.Module):
    """Logits ``(B, classes)`` from a ``(B, C, 1, 1)`` map."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(maps.flatten(1))
