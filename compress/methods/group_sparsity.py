"""PE groups of latent weights: their norms, and which are zero, counted the one way for every method.

In a ternary model a weight is zero where its trit is. In a full-precision one that group lasso prunes, groups are
pulled towards zero without ever reaching it: there a group is kept whole when one of its weights exceeds the threshold
that a ternary layer would have (0.05 of the layer's largest weight), and counts as zero, to the last weight, when none
does.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tritforge.compress.layers.ternary import ternary_scale, to_trits
from tritforge.compress.models.model import Model
from tritforge.network.pe_groups import channels_per_group

Bitmaps = dict[str, NDArray[np.bool_]]
"""By grouped layer, which of its PE groups ``(N, G)`` are present."""


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


@torch.no_grad()
def kept_weights(model: Model, group_channels: int) -> dict[str, Tensor]:
    """By grouped layer, 1 for each non-zero weight ``(N, G, lanes)`` and 0 for the others, in fp32."""
    kept = {}
    for name, layer in model.ternary_layers().items():
        if model.precision == "ternary":
            kept[name] = grouped(layer.trits(), group_channels).abs()
        else:
            large = to_trits(layer.weight, ternary_scale(layer.weight).threshold).abs()
            whole = grouped(large, group_channels).amax(dim=2, keepdim=True)
            kept[name] = whole * grouped((layer.weight != 0).float(), group_channels)
    return kept


def present_groups(model: Model, group_channels: int) -> Bitmaps:
    """Which groups hold a weight that is not zero."""
    return {name: kept.any(dim=2).cpu().numpy() for name, kept in kept_weights(model, group_channels).items()}


def every_group(model: Model, group_channels: int) -> Bitmaps:
    """The bitmaps of a model without a zero group."""
    return {name: np.ones_like(bitmap) for name, bitmap in present_groups(model, group_channels).items()}


def zero_group_fraction(model: Model, group_channels: int) -> float:
    """Fraction of PE groups of the grouped layers in which every weight is zero."""
    present = present_groups(model, group_channels).values()
    return 1.0 - sum(int(groups.sum()) for groups in present) / sum(groups.size for groups in present)


def layer_zero_groups(model: Model, group_channels: int) -> dict[str, float]:
    """Fraction of each grouped layer's PE groups in which every weight is zero (dissertation Figure 9)."""
    return {name: 1.0 - float(groups.mean()) for name, groups in present_groups(model, group_channels).items()}


def zero_fraction(model: Model, group_channels: int) -> float:
    """Fraction of the grouped layers' weights that are zero ("overall sparsity", dissertation Table 3)."""
    kept = sum(int(weights.sum()) for weights in kept_weights(model, group_channels).values())
    return 1.0 - kept / sum(layer.weight.numel() for layer in model.ternary_layers().values())


@torch.no_grad()
def prune_groups(model: Model, group_channels: int) -> None:
    """Set the weights of a full-precision model that :func:`kept_weights` does not count to zero."""
    for layer, kept in zip(model.ternary_layers().values(), kept_weights(model, group_channels).values(), strict=True):
        outputs, channels, kernel, _ = layer.weight.shape
        layer.weight.mul_(kept.reshape(outputs, -1, kernel, kernel)[:, :channels])
