"""Integer arithmetic of the network: one meaning for reference, RTL, HLS and driver.

Requantise: ``y = clamp((M[n] * acc + B[n] + R * res + h) >> S, 0, 2**A - 1)`` with an arithmetic shift and
``h = 1 << (S - 1)`` for ``S > 0``, else 0. Logits are ``M[n] * acc + B[n]``, unshifted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError

MULTIPLIER_BITS = 16
RESIDUAL_BITS = 16
BIAS_BITS = 48
LOGIT_BITS = 48
SUM_BITS = 48
MAX_SHIFT = 31
ACCUMULATOR_BITS = 32


def rounding_offset(shift: int) -> int:
    """``h`` of the requantise rule: half of the last bit that the shift drops."""
    return 1 << (shift - 1) if shift > 0 else 0


def requantise(
    accumulator: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    bias: NDArray[np.int64],
    shift: int,
    bits: int,
    residual: NDArray[np.int64] | None = None,
    residual_multiplier: int = 0,
) -> NDArray[np.int64]:
    """Requantise accumulators ``(B, N, H, W)`` to unsigned ``bits``-bit activations of the same shape.

    Args:
        accumulator: exact sums.
        multiplier: ``M``, ``(N,)``, signed 16 bits.
        bias: ``B``, ``(N,)``, signed 48 bits.
        shift: ``S``, 0 to 31.
        bits: ``A``.
        residual: unsigned activations of the output's shape, or None.
        residual_multiplier: ``R``, unsigned 16 bits.
    """
    scaled = affine(accumulator, multiplier, bias) + rounding_offset(shift)
    if residual is not None:
        scaled = scaled + residual_multiplier * residual
    return np.clip(scaled >> shift, 0, (1 << bits) - 1)


def affine(accumulator: NDArray[np.int64], multiplier: NDArray[np.int64], bias: NDArray[np.int64]) -> NDArray[np.int64]:
    """``M[n] * acc + B[n]`` for accumulators ``(B, N, H, W)``."""
    return multiplier[None, :, None, None] * accumulator + bias[None, :, None, None]


def output_size(size: int, stride: int) -> int:
    """Rows or columns that a convolution with padding ``K // 2`` gives."""
    return (size - 1) // stride + 1


def convolve(source: NDArray[np.int64], weights: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """Exact convolution with zero padding ``K // 2``: ``(B, C, H, W)`` with ``(N, C, K, K)`` to ``(B, N, H', W')``."""
    kernel = weights.shape[2]
    pad = kernel // 2
    padded = np.pad(source, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    batch, channels, rows, columns = windows.shape[:4]
    # float64 is exact here: sums stay far below 2**53, and its matrix product is the fast one.
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * rows * columns, channels * kernel * kernel)
    outputs = weights.shape[0]
    product = patches.astype(np.float64) @ weights.reshape(outputs, -1).T.astype(np.float64)
    return np.rint(product).astype(np.int64).reshape(batch, rows, columns, outputs).transpose(0, 3, 1, 2)


def fold_affine(
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    residual_scale: float = 0.0,
    largest_shift: int = MAX_SHIFT,
    layer: str = "layer",
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Choose ``M, B, R, S`` for ``y = scale[n] * acc + offset[n] + residual_scale * res``.

    ``S`` is the largest shift for which all rounded values fit; a channel whose ``scale`` is 0 has ``M = 0`` and takes
    no part in choosing it.

    Args:
        scale: ``(N,)`` output steps per accumulator step.
        offset: ``(N,)`` output steps.
        residual_scale: output steps per residual step, not negative.
        largest_shift: upper end of the search.
        layer: name for the error message.

    Returns:
        ``M (N,)``, ``B (N,)``, ``R``, ``S``.

    Raises:
        NetworkError: no shift makes all values fit.
    """
    live = scale != 0
    for shift in range(largest_shift, -1, -1):
        factor = float(1 << shift)
        multiplier = np.rint(np.where(live, scale, 0.0) * factor)
        bias = np.rint(offset * factor)
        residual = np.rint(residual_scale * factor)
        fits = (
            np.all(np.abs(multiplier) <= (1 << (MULTIPLIER_BITS - 1)) - 1)
            and np.all(np.abs(bias[live]) <= (1 << (BIAS_BITS - 1)) - 1)
            and 0 <= residual <= (1 << RESIDUAL_BITS) - 1
        )
        if fits:
            limit = (1 << (BIAS_BITS - 1)) - 1
            bias = np.clip(bias, -limit, limit)
            return multiplier.astype(np.int64), bias.astype(np.int64), int(residual), shift
    raise NetworkError(
        f"layer {layer}: no shift from 0 to {largest_shift} lets its scales (largest {np.abs(scale).max():.3g}) "
        f"fit {MULTIPLIER_BITS}-bit multipliers"
    )
