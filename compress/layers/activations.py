"""Unsigned fixed-point activations: training sees exactly the levels that the integer network stores.

A map is ``level * scale`` with ``level = clamp(floor(value / scale + 1/2), 0, 2**A - 1)``: ReLU is the lower clamp and
rounding is half up, as in :mod:`tritforge.network.arithmetic`. The scale maps the largest level to a running mean of
the batches' largest values, and stays fixed outside training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tritforge.compress.run.workers import largest_of_all


def round_half_up(values: Tensor) -> Tensor:
    """``floor(values + 1/2)``."""
    return torch.floor(values + 0.5)


class _Requantise(torch.autograd.Function):
    """``level * scale`` in the values' type, worked out in fp32, with a straight-through gradient inside the range.

    Few passes over the map: autograd's own division, clamp and rounding take four times as long, and a map that stays
    in bfloat16 between its batch norm and the next convolution is not converted twice in each direction.

    The mask of what lies inside the range is kept in the values' type, because a product with booleans is slow. It
    stands first in the backward product, whose memory layout follows the first factor: the gradient of a mean over
    pixels has none of its own, and one in another layout than the maps makes every batch norm before it several times
    slower.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, top: int) -> Tensor:
        ratio = values.float() / scale
        levels = ratio.clamp(0, top)
        ctx.save_for_backward(ratio.eq_(levels).to(values.dtype), scale)
        return levels.add_(0.5).floor_().mul_(scale).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        inside, scale = ctx.saved_tensors
        if inside.dtype != torch.float32:
            return inside * gradients[0], None, None
        return (inside * scale).mul_(gradients[0]).div_(scale), None, None


class ActivationQuantiser(nn.Module):
    """ReLU and requantisation to ``bits`` unsigned bits.

    Attributes:
        peak: running mean of the largest value of a batch, which the largest level stands for; 0 before the first.
        tracking: whether training updates ``peak``; partial updates switch it off.
    """

    peak: Tensor

    def __init__(self, bits: int = 8, momentum: float = 0.05) -> None:
        super().__init__()
        self.top = (1 << bits) - 1
        self.momentum = momentum
        self.tracking = True
        self.register_buffer("peak", torch.tensor(0.0))

    @property
    def scale(self) -> Tensor:
        """Value of one level, a scalar fp32 tensor; never 0, so that a dead map keeps finite arithmetic."""
        return self.peak.clamp(min=1e-6) / self.top

    def levels(self, values: Tensor) -> Tensor:
        """Integer levels 0 to ``2**A - 1`` of real values, fp32; for looking, :meth:`forward` carries the gradient."""
        return round_half_up((values / self.scale).clamp(0, self.top))

    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            if self.training and self.tracking:
                self.track(largest_of_all(values.detach().amax().float()))
            return _Requantise.apply(values, self.scale, self.top)

    def track(self, largest: Tensor) -> None:
        """Move the peak towards a batch's largest value, a scalar."""
        largest = largest.clamp(min=0)
        moved = self.peak + self.momentum * (largest - self.peak)
        self.peak.copy_(torch.where(self.peak == 0, largest, moved))
