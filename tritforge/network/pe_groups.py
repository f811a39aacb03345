"""PE groups: the shape in which weights are pruned, stored and issued.

A group is ``C_g x K_h x K_w`` weights of one output channel over consecutive input channels (dissertation 2.2.3).
The PE has ``9 * C_g`` lanes. A 3x3 group fills them with ``C_g`` channels; a 1x1 (or fully connected) group fills the
nine tap positions with nine consecutive blocks of ``C_g`` channels, ``C_g * floor(9 / (K_h * K_w))`` channels in all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError

TAPS = 9
"""Tap positions of a PE: a 3x3 window."""
LANES_AT_ONCE = 1 << 20


def channels_per_group(kernel: int, group_channels: int) -> int:
    """Input channels that one group covers for a ``kernel x kernel`` layer (1 or 3)."""
    if kernel not in (1, 3):
        raise NetworkError(f"a kernel of {kernel}x{kernel} cannot be grouped; the PE takes 1x1 and 3x3")
    return group_channels * (TAPS // (kernel * kernel))


def group_weights(weights: NDArray, group_channels: int) -> NDArray:
    """View weights as groups in the lane order of the PE.

    Args:
        weights: ``(N, C, K, K)``; C is padded with zeros to whole groups.
        group_channels: ``C_g``.

    Returns:
        ``(N, G, 9, C_g)``: output channel, group along the input channels, tap position, channel lane. For 3x3 the tap
        is ``3 * row + column``; for 1x1 tap ``t`` of group ``g`` holds channels ``(9 g + t) C_g ... + C_g - 1``.
    """
    outputs, channels, kernel, _ = weights.shape
    per_group = channels_per_group(kernel, group_channels)
    groups = -(-channels // per_group)
    padded = np.zeros((outputs, groups * per_group, kernel, kernel), dtype=weights.dtype)
    padded[:, :channels] = weights
    if kernel == 1:
        return padded.reshape(outputs, groups, TAPS, group_channels)
    by_block = padded.reshape(outputs, groups, group_channels, TAPS)
    return np.ascontiguousarray(by_block.transpose(0, 1, 3, 2))


def ungroup_weights(groups: NDArray, channels: int, kernel: int) -> NDArray:
    """Inverse of :func:`group_weights`: ``(N, G, 9, C_g)`` back to ``(N, channels, kernel, kernel)``."""
    outputs, count, _, group_channels = groups.shape
    if kernel == 1:
        flat = groups.reshape(outputs, count * TAPS * group_channels, 1, 1)
    else:
        flat = groups.transpose(0, 1, 3, 2).reshape(outputs, count * group_channels, kernel, kernel)
    return np.ascontiguousarray(flat[:, :channels])


def nonzero_groups(weights: NDArray, group_channels: int) -> NDArray[np.bool_]:
    """Bitmap ``(N, G)`` of the groups of ``(N, C, K, K)`` weights that hold a non-zero weight."""
    outputs, channels, kernel, _ = weights.shape
    lanes = group_trits(channels, kernel, group_channels).size * TAPS * group_channels
    rows = [group_weights(weights[some], group_channels).any(axis=(2, 3)) for some in blocks_of_outputs(outputs, lanes)]
    return np.concatenate(rows)


def blocks_of_outputs(outputs: int, lanes: int) -> Iterator[slice]:
    """Slices of output channels of so many lanes each, about a million lanes at once: padding takes memory too."""
    step = max(1, LANES_AT_ONCE // lanes)
    for start in range(0, outputs, step):
        yield slice(start, min(start + step, outputs))


def group_trits(channels: int, kernel: int, group_channels: int) -> NDArray[np.int64]:
    """Real weights in each group of a layer, ``(G,)``: the last group may be ragged, its padding is not counted."""
    per_group = channels_per_group(kernel, group_channels)
    groups = -(-channels // per_group)
    sizes = np.full(groups, per_group, dtype=np.int64)
    sizes[-1] = channels - per_group * (groups - 1)
    return sizes * kernel * kernel
