"""Weight penalty clipping: group lasso that leaves groups above a self-adapting threshold alone.

``sum over layers l and groups i of min(||W_li||_2, delta_l)`` with ``delta_l = a * mean_i ||W_li||_2`` (dissertation
eq. 2.6 and 2.7), over latent weights. ``delta_l`` is a constant of the backward pass; ``a = inf`` never clips and is
the naive combination of eq. 2.5. Groups are the PE groups of :mod:`tritforge.network.pe_groups`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tritforge.network.pe_groups import channels_per_group


def grouped(weights: Tensor, group_channels: int) -> Tensor:
    """Weights ``(N, C, K, K)`` as ``(N, G, lanes)``: one row per PE group, a ragged last group padded with zeros.

    Kernels above 3x3, which no PE takes, are grouped by ``C_g`` channels too, as dissertation 2.2.3 defines a group.
    """
    outputs, channels, kernel, _ = weights.shape
    per_group = group_channels if kernel > 3 else channels_per_group(kernel, group_channels)
    missing = -channels % per_group
    if missing:
        weights = functional.pad(weights, (0, 0, 0, 0, 0, missing))
    return weights.reshape(outputs, (channels + missing) // per_group, per_group * kernel * kernel)


def group_norms(weights: Tensor, group_channels: int) -> Tensor:
    """Euclidean norms ``(N, G)`` of the PE groups, in fp32; the gradient at an all-zero group is 0."""
    squares = grouped(weights.float(), group_channels).square().sum(dim=2)
    zero = squares == 0
    # sqrt has an infinite slope at 0; a zero group takes the constant branch, whose gradient is 0.
    return torch.where(zero, 0.0, torch.where(zero, 1.0, squares).sqrt())


def clipping_threshold(norms: Tensor, coefficient: float) -> Tensor:
    """``delta_l`` of eq. 2.7 from a layer's group norms, detached."""
    return coefficient * norms.detach().mean()


def weight_penalty(
    layers: Sequence[Tensor], coefficient: float, group_channels: int, factors: Sequence[float] | None = None
) -> Tensor:
    """The penalty of eq. 2.6 without its factor lambda: a scalar, summed over the groups of all layers.

    Args:
        layers: latent weights ``(N, C, K, K)`` of the grouped layers.
        coefficient: ``a`` of eq. 2.7; ``inf`` clips nothing.
        group_channels: ``C_g``.
        factors: of each layer's sum; 1 by default.
    """
    total = torch.zeros(())
    for index, weights in enumerate(layers):
        norms = group_norms(weights, group_channels)
        clipped = norms if coefficient == float("inf") else norms.minimum(clipping_threshold(norms, coefficient))
        summed = clipped.sum() if factors is None else factors[index] * clipped.sum()
        total = total.to(clipped.device) + summed
    return total
