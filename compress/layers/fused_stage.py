"""Batch norm, residual and activation of a stage in few passes over its maps, for training on a CPU.

The sums of a map's batch norm, what comes of them and the gradients are worked out by :mod:`stage_kernels`, each as
one pass, where torch makes one of every operation. Results equal torch's up to the order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tritforge.compress.layers import stage_kernels
from tritforge.compress.layers.activations import ActivationQuantiser
from tritforge.compress.run.workers import largest_of_all

ROWS = torch.channels_last


class _Stage(torch.autograd.Function):
    """``(maps, residual, weight, bias, ...)`` to the stage's map; statistics are those of the batch."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        quantiser: ActivationQuantiser | None,
    ) -> Tensor:
        out, largest, means, inverses = stage_kernels.forward(maps, residual, norm, quantiser is None)
        rectified, mask = out, None
        if quantiser is not None:
            if quantiser.tracking:
                quantiser.track(largest_of_all(torch.tensor(largest)))
            rectified, mask = None, stage_kernels.quantise(out, float(quantiser.scale), quantiser.top)
        ctx.save_for_backward(rectified, mask, maps, weight, means, inverses)
        ctx.joined = residual is not None
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous(memory_format=ROWS)
        rectified, mask, maps, weight, means, inverses = ctx.saved_tensors
        found = stage_kernels.backward(gradient, rectified, mask, maps, weight, means, inverses, ctx.joined)
        return *found, None, None


def fusible(maps: Tensor, norm: nn.Module, activation: nn.Module) -> bool:
    """Whether :func:`fused_stage` can do this: statistics of the batch, ReLU or a quantiser, on the CPU."""
    return (
        isinstance(norm, nn.BatchNorm2d)
        and norm.training
        and isinstance(activation, nn.ReLU | ActivationQuantiser)
        and maps.device.type == "cpu"
        and stage_kernels.takes(maps.shape, maps.dtype)
    )


def fused_stage(maps: Tensor, residual: Tensor | None, norm: nn.BatchNorm2d, activation: nn.Module) -> Tensor:
    """``activation(norm(maps) + residual)``, as in training: running statistics and a quantiser's peak move.

    Args:
        maps: what the convolution gives, ``(B, C, H, W)``, fp32 or bfloat16.
        residual: of the same shape, or None.
        norm: batch norm of C channels.
        activation: ReLU or an activation quantiser.

    Raises:
        KernelError: there is no C++ compiler.
    """
    maps = maps.contiguous(memory_format=ROWS)
    if residual is not None:
        residual = residual.to(maps.dtype).contiguous(memory_format=ROWS)
    quantiser = activation if isinstance(activation, ActivationQuantiser) else None
    return _Stage.apply(maps, residual, norm.weight, norm.bias, norm, quantiser)
