"""Trits in pairs, as the PE's first adder level takes them.

A pair is the trits of channels ``2w`` and ``2w + 1`` at one tap, in four bits: enable 1, enable 2, relative sign, sign
(bit 0 to bit 3). The pair's term is ``(-1)**sign * (e1 * a1 + (-1)**relative * e2 * a2)``: ``sign`` is the sign of the
first non-zero trit, ``relative`` is set only when both are non-zero and differ. All other bits are zero, so each pair
has one code. A 36-bit word holds the nine taps of two channels, tap 0 in the lowest four bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAIR_BITS = 4
WORD_BITS = 36


def encode_words(groups: NDArray) -> NDArray[np.uint64]:
    """Words ``(..., C_g / 2)`` of trit groups ``(..., 9, C_g)``."""
    trits = np.asarray(groups).astype(np.int64)
    first, second = trits[..., 0::2], trits[..., 1::2]
    relative = (first * second < 0).astype(np.int64)
    sign = np.where(first != 0, first < 0, second < 0).astype(np.int64)
    codes = (first != 0) | ((second != 0).astype(np.int64) << 1) | (relative << 2) | (sign << 3)
    shifts = (PAIR_BITS * np.arange(trits.shape[-2], dtype=np.uint64))[:, None]
    return np.bitwise_or.reduce(codes.astype(np.uint64) << shifts, axis=-2)


def decode_words(words: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Trit groups ``(..., 9, C_g)`` of words ``(..., C_g / 2)``: inverse of :func:`encode_words` on its image."""
    shifts = (PAIR_BITS * np.arange(WORD_BITS // PAIR_BITS, dtype=np.uint64))[:, None]
    codes = ((np.asarray(words, dtype=np.uint64)[..., None, :] >> shifts) & np.uint64(15)).astype(np.int8)
    sign = 1 - 2 * ((codes >> 3) & 1)
    relative = 1 - 2 * ((codes >> 2) & 1)
    groups = np.empty((*codes.shape[:-1], 2 * codes.shape[-1]), dtype=np.int8)
    groups[..., 0::2] = sign * (codes & 1)
    groups[..., 1::2] = sign * relative * ((codes >> 1) & 1)
    return groups


def bit_planes(weights: NDArray, count: int) -> NDArray[np.int8]:
    """Trit digits ``(count, ...)`` of integers: ``w = sum_k 2**k * digit_k`` with every digit of the sign of ``w``."""
    values = np.asarray(weights).astype(np.int64)
    planes = np.arange(count).reshape((count,) + (1,) * values.ndim)
    return (np.sign(values) * ((np.abs(values) >> planes) & 1)).astype(np.int8)
