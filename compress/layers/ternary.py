"""Ternary weights: the quantiser, its straight-through gradient, and a convolution that uses it.

Per layer, ``threshold = 0.05 * max|W|`` and ``scale`` is the mean of ``|w|`` over the weights with ``|w| > threshold``
(0 when there is none); a weight becomes ``scale * trit`` with ``trit = sign(w)`` where ``|w| > threshold``, else 0
(dissertation 2.2.1, ``Tern{W}``). Both are constants of the backward pass, whose gradient with respect to every latent
weight is 1, so that a weight in the dead zone can return.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

THRESHOLD_FRACTION = 0.05
"""``threshold / max|W|``."""


class TernaryScale(NamedTuple):
    """A layer's ``threshold`` (Delta) and ``scale`` (alpha), scalar fp32 tensors."""

    threshold: Tensor
    scale: Tensor


def ternary_scale(weights: Tensor) -> TernaryScale:
    """Threshold and scale of a layer's latent weights of any shape, detached and in fp32."""
    magnitude = weights.detach().float().abs()
    threshold = THRESHOLD_FRACTION * magnitude.amax()
    kept = magnitude > threshold
    # An empty layer has a sum of 0, so dividing it by 1 gives the scale 0.
    return TernaryScale(threshold, (magnitude * kept).sum() / kept.sum().clamp(min=1))


def to_trits(weights: Tensor, threshold: Tensor) -> Tensor:
    """Trits -1, 0, 1 of latent weights, in fp32 and of their shape."""
    latent = weights.detach().float()
    return torch.sign(latent) * (latent.abs() > threshold)


class _StraightThrough(torch.autograd.Function):
    """``scale * trit`` forward; the gradient passes unchanged to every latent weight."""

    @staticmethod
    def forward(_ctx: Any, weights: Tensor, threshold: Tensor, scale: Tensor) -> Tensor:
        return to_trits(weights, threshold) * scale

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def ternarise(weights: Tensor, frozen: TernaryScale | None = None) -> Tensor:
    """``scale * trit`` of latent weights, fp32 also under autocast, with a straight-through gradient of 1.

    Args:
        weights: latent weights of one layer.
        frozen: threshold and scale to use instead of the ones that follow from the weights (partial updates).
    """
    with torch.autocast(weights.device.type, enabled=False):
        threshold, scale = frozen if frozen is not None else ternary_scale(weights)
        return _StraightThrough.apply(weights.float(), threshold, scale)


def trit_levels(weights: Tensor, scale: TernaryScale) -> tuple[Tensor, Tensor]:
    """Trits of a layer in fp32, of its shape ``(N, ...)``, and the value of one step ``(N,)``: 0 in empty channels."""
    trits = to_trits(weights, scale.threshold)
    return trits, scale.scale * trits.flatten(1).any(dim=1)


class TernaryConv2d(nn.Conv2d):
    """A convolution without bias whose latent ``weight`` ``(N, C, K, K)`` is ternarised in every forward pass.

    ``frozen``, when set, pins threshold and scale; partial updates set it to the deployed ones.
    """

    frozen: TernaryScale | None = None

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)

    def current_scale(self) -> TernaryScale:
        """The threshold and scale that the next forward pass uses."""
        return self.frozen if self.frozen is not None else ternary_scale(self.weight)

    def trits(self) -> Tensor:
        """The layer's trits ``(N, C, K, K)``, fp32."""
        return self.levels()[0]

    def levels(self) -> tuple[Tensor, Tensor]:
        """Trits ``(N, C, K, K)`` in fp32 and the value of one step ``(N,)``."""
        return trit_levels(self.weight, self.current_scale())

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, ternarise(self.weight, self.frozen), None, self.stride, self.padding)


class TernaryLinear(nn.Linear):
    """A fully connected layer with ternary weights ``(N, C)`` and a real bias."""

    def levels(self) -> tuple[Tensor, Tensor]:
        """Trits ``(N, C)`` in fp32 and the value of one step ``(N,)``."""
        return trit_levels(self.weight, ternary_scale(self.weight))

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, ternarise(self.weight), self.bias)
