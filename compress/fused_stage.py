"""Batch norm, residual and activation of a stage in few passes over its maps, for training on a CPU.

The sums of a map's batch norm, what comes of them and the gradients are worked out by :mod:`stage_kernels`, each as
one pass, where torch makes one of every operation. Results equal torch's up to the order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tritforge.compress import stage_kernels
from tritforge.compress.activations import ActivationQuantiser
from tritforge.compress.workers import largest_of_all

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
        mean, variance = stage_kernels.statistics(maps)
        _track(norm, mean, variance, maps.numel() // maps.shape[1])
        inverse = (variance + norm.eps).rsqrt()
        factor = weight * inverse
        offset = bias - mean * factor
        if quantiser is None:
            out, mask = stage_kernels.rectify(maps, residual, factor, offset)
        else:
            out, peak = stage_kernels.largest(maps, residual, factor, offset)
            if quantiser.tracking:
                quantiser.track(largest_of_all(torch.tensor(peak)))
            mask = stage_kernels.quantise(out, float(quantiser.scale), quantiser.top)
        ctx.save_for_backward(maps, mask, mean, inverse, weight)
        ctx.joined = residual is not None
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, mask, mean, inverse, weight = ctx.saved_tensors
        count = maps.numel() // maps.shape[1]
        gradient = gradients[0].contiguous(memory_format=ROWS)
        inner, of_bias, products = stage_kernels.masked(gradient, mask, maps, mean)
        of_weight = products * inverse
        slope = weight * inverse
        factor = -slope * inverse * of_weight / count
        offset = -slope * of_bias / count - mean * factor
        of_maps = torch.empty_like(inner) if ctx.joined else inner
        stage_kernels.backward(inner, maps, slope, factor, offset, of_maps)
        return of_maps, inner if ctx.joined else None, of_weight.float(), of_bias.float(), None, None


def fusible(maps: Tensor, norm: nn.BatchNorm2d, activation: nn.Module) -> bool:
    """Whether :func:`fused_stage` can do this: statistics of the batch, ReLU or a quantiser, on the CPU."""
    return (
        norm.training
        and norm.momentum is not None
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


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    norm.num_batches_tracked += 1
    unbiased = variance * (count / max(1, count - 1))
    for running, value in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running += norm.momentum * (value - running)
