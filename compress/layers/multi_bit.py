"""Multi-bit weights of the first and last layers: symmetric integers with a scale for each output channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHT_BITS = 8
"""Width of the first and last layer's weights; levels run from -127 to 127."""


def weight_levels(weights: Tensor, bits: int = WEIGHT_BITS) -> tuple[Tensor, Tensor]:
    """Integers of ``weights`` ``(N, ...)`` and the value of one step.

    Returns:
        Levels in fp32, ``|level| <= 2**(bits - 1) - 1``, of the weights' shape, and steps ``(N,)``, ``max|w[n]|`` over
        the largest level; a channel of zeros has step 0. Both detached.
    """
    latent = weights.detach().float()
    top = (1 << (bits - 1)) - 1
    steps = latent.abs().flatten(1).amax(dim=1) / top
    divisor = torch.where(steps == 0, 1.0, steps)
    return torch.round(latent / _per_channel(divisor, latent)).clamp(-top, top), steps


def _per_channel(values: Tensor, weights: Tensor) -> Tensor:
    return values.reshape(-1, *(1 for _ in weights.shape[1:]))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, weights: Tensor, bits: int) -> Tensor:
        levels, steps = weight_levels(weights, bits)
        return levels * _per_channel(steps, weights)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def quantise_weights(weights: Tensor, bits: int = WEIGHT_BITS) -> Tensor:
    """``level * step`` of each weight, fp32 also under autocast, with a straight-through gradient of 1."""
    with torch.autocast(weights.device.type, enabled=False):
        return _StraightThrough.apply(weights.float(), bits)


class IntegerConv2d(nn.Conv2d):
    """A convolution without bias with ``bits``-bit weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, bits: int = WEIGHT_BITS) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bits = bits

    def levels(self) -> tuple[Tensor, Tensor]:
        """Integers ``(N, C, K, K)`` in fp32 and the value of one step ``(N,)``."""
        return weight_levels(self.weight, self.bits)

    def forward(self, maps: Tensor) -> Tensor:
        weights = quantise_weights(self.weight, self.bits)
        return functional.conv2d(maps, weights, None, self.stride, self.padding)


class IntegerLinear(nn.Linear):
    """A fully connected layer with ``bits``-bit weights and a real bias."""

    def __init__(self, inputs: int, outputs: int, bits: int = WEIGHT_BITS) -> None:
        super().__init__(inputs, outputs)
        self.bits = bits

    def levels(self) -> tuple[Tensor, Tensor]:
        """Integers ``(N, C)`` in fp32 and the value of one step ``(N,)``."""
        return weight_levels(self.weight, self.bits)

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, quantise_weights(self.weight, self.bits), self.bias)
