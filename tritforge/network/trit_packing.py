"""Packing of trits and bits into bytes: each row of values has exactly one packed form.

The unpacking functions refuse every other form (a wrong length, an unused code, padding that is not zero) with a
``ValueError`` whose text completes the sentence "file: field ...".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

TRITS_PER_BYTE = 4
DIGITS_PER_BYTE = 5

_DIGIT_WEIGHTS = (3 ** np.arange(DIGITS_PER_BYTE)).astype(np.uint8)
_DIGITS_OF_BYTE = np.arange(256, dtype=np.uint8)[:, None] // _DIGIT_WEIGHTS % np.uint8(3)


def pack_trits(trits: NDArray[np.int8]) -> Bytes:
    """Two bits a trit in two's complement (0 = 00, +1 = 01, -1 = 11), first trit in the lowest bits, zero padded."""
    codes = _padded((trits & np.int8(3)).astype(np.uint8), TRITS_PER_BYTE)
    return np.bitwise_or.reduce(codes << np.arange(0, 8, 2, dtype=np.uint8), axis=1)


def unpack_trits(packed: Bytes, count: int) -> NDArray[np.int8]:
    """Inverse of :func:`pack_trits`: ``count`` trits."""
    _check_length(packed, count, TRITS_PER_BYTE)
    codes: NDArray[np.uint8] = (packed[:, None] >> np.arange(0, 8, 2, dtype=np.uint8) & np.uint8(3)).reshape(-1)
    if np.any(codes == 2):
        raise ValueError("holds the code 10; trits are 00, 01 and 11")
    _check_padding(codes, count)
    trits = codes[:count].astype(np.int8)
    trits[trits == 3] = -1
    return trits


def pack_digits(digits: NDArray[np.uint8]) -> Bytes:
    """Five base-3 digits a byte (0 to 242), the first digit counting ones, zero padded."""
    return _padded(digits, DIGITS_PER_BYTE) @ _DIGIT_WEIGHTS


def unpack_digits(packed: Bytes, count: int) -> NDArray[np.uint8]:
    """Inverse of :func:`pack_digits`: ``count`` digits 0, 1 or 2."""
    _check_length(packed, count, DIGITS_PER_BYTE)
    if np.any(packed >= 3**DIGITS_PER_BYTE):
        raise ValueError(f"holds a byte of {int(packed.max())}; five base-3 digits end at {3**DIGITS_PER_BYTE - 1}")
    digits = _DIGITS_OF_BYTE[packed].reshape(-1)
    _check_padding(digits, count)
    return digits[:count]


def pack_bitmap(bitmap: NDArray[np.bool_]) -> Bytes:
    """Eight bits a byte in C order, first bit lowest, zero padded."""
    return np.packbits(bitmap.reshape(-1), bitorder="little")


def unpack_bitmap(packed: Bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Inverse of :func:`pack_bitmap`: a bitmap of ``shape``."""
    count = int(np.prod(shape, dtype=object))
    _check_length(packed, count, 8)
    bits = np.unpackbits(packed, bitorder="little")
    _check_padding(bits, count)
    return bits[:count].view(np.bool_).reshape(shape)


def packed_length(count: int, per_byte: int) -> int:
    """Bytes that ``count`` values take at ``per_byte`` values a byte."""
    return -(-count // per_byte)


def _padded(values: NDArray[np.uint8], per_byte: int) -> NDArray[np.uint8]:
    padded = np.zeros((packed_length(values.size, per_byte), per_byte), dtype=np.uint8)
    padded.reshape(-1)[: values.size] = values
    return padded


def _check_length(packed: Bytes, count: int, per_byte: int) -> None:
    expected = packed_length(count, per_byte)
    if packed.shape != (expected,):
        raise ValueError(f"holds {packed.size} bytes; {count} values take {expected}")


def _check_padding(values: NDArray[Any], count: int) -> None:
    if np.any(values[count:]):
        raise ValueError("holds padding that is not zero")
