"""Coding of what a patch changes: sorted positions near their entropy, and one bit that says how each trit changed.

Positions are coded as gaps by a Golomb code whose divisor is ``2**b`` or ``3 * 2**b``. The divisor follows from the
two counts alone (the one whose longest possible code is shortest), so no parameter is stored, a set of positions has
one code, and decoding is a handful of array operations. Values are steps modulo 3: ``new = old + step``, 1 or 2.
Malformed codes raise a ``ValueError`` whose text completes the sentence "patch: section ...".

Positions are handled in blocks: what a whole row of them takes is four bytes each, and a byte for each bit or digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tritforge.network.trit_packing import DIGITS_PER_BYTE, Bytes, pack_digits, packed_length, unpack_digits

Positions = NDArray[np.int64]
Counted = NDArray[np.int64] | NDArray[np.uint32]
"""Positions as they are held: a patch file counts in 32 bits."""
Bits = NDArray[np.uint8]
Count = TypeVar("Count", int, Positions)

BLOCK = 1 << 16
"""Positions, or bits of their code, that are handled at once."""

AFFINE_ENTRY_BYTES = 8
"""A changed affine entry: the step of ``M`` modulo 2**16, then that of ``B`` modulo 2**48, little-endian."""


def golomb_divisor(count: int, total: int) -> tuple[int, bool]:
    """``(b, triple)``: the divisor ``2**b``, times 3 if ``triple``, for ``count`` positions below ``total``.

    It minimises the longest code that any such positions can take; between equals the smaller divisor holds.
    """
    return min(_divisors(total), key=lambda divisor: _longest_code(count, total, divisor))


def encode_positions(positions: Counted, total: int) -> Bits:
    """Bits of strictly rising ``positions`` below ``total``: remainders, then quotients in unary.

    The low ``b`` bits of all remainders come plane by plane, highest plane first; then, for a divisor with the factor
    3, their remaining base-3 digits, five a byte; then each quotient as that many zeros and a one.
    """
    count = positions.size
    low_bits, triple = golomb_divisor(count, total)
    bits = np.zeros(_position_bits(positions, total), dtype=np.uint8)
    digits = np.zeros(count if triple else 0, dtype=np.uint8)
    end = start = _remainder_bits(count, low_bits, triple)
    for block, gaps in _blocks_of_gaps(positions):
        quotients, remainders = np.divmod(gaps, _divisor(low_bits, triple))
        for plane in range(low_bits):
            bits[plane * count + block.start : plane * count + block.stop] = remainders >> (low_bits - 1 - plane) & 1
        if triple:
            digits[block] = remainders >> low_bits
        ends = end + np.cumsum(quotients + 1)
        bits[ends - 1] = 1
        end = int(ends[-1])
    bits[count * low_bits : start] = np.unpackbits(pack_digits(digits))
    return bits


def decode_positions(bits: Bits, count: int, total: int) -> tuple[NDArray[np.uint32], int]:
    """Inverse of :func:`encode_positions`: ``count`` positions and the number of ``bits`` they took."""
    if count > total:
        raise ValueError(f"claims {count} of {total} positions")
    low_bits, triple = golomb_divisor(count, total)
    start = _remainder_bits(count, low_bits, triple)
    unary = bits[start:].view(np.bool_)  # bool: the fast search
    found = np.count_nonzero(unary)
    if found < count:
        raise ValueError(f"ends after {found} of {count} positions")
    digits = unpack_digits(np.packbits(bits[count * low_bits : start]), count if triple else 0)
    positions = np.empty(count, dtype=np.uint32)
    divisor, place, done, passed = _divisor(low_bits, triple), 0, 0, 0
    while done < count:
        ones = place + np.flatnonzero(unary[place : place + BLOCK])[: count - done]
        index = np.arange(done, done + ones.size)
        remainders = digits[index].astype(np.int64) if triple else np.zeros(ones.size, dtype=np.int64)
        for plane in range(low_bits):
            remainders += remainders
            remainders += bits[plane * count + index]
        # The zeros before the i-th one are the sum of its quotient and all earlier ones.
        found_here = passed + np.cumsum(remainders) + (ones - index) * divisor + index
        if ones.size and found_here[-1] >= total:
            raise ValueError(f"holds position {found_here[-1]}; the last is {total - 1}")
        positions[index] = found_here
        place, done, passed = place + BLOCK, done + ones.size, passed + int(remainders.sum())
    return positions, start + int(ones[-1]) + 1 if count else 0


def encode_changes(positions: Counted, steps: NDArray[np.uint8], total: int) -> tuple[bool, bytes, bytes]:
    """``(dense, positions section, values section)`` of trits that change by ``steps`` (1 or 2).

    The sparse form is one stream of bits, positions then values (a one for step 2), cut at the first whole byte after
    the positions so that no bits are lost at the cut. The dense form, used when it is shorter, has no positions and
    one base-3 digit for each of the ``total`` trits.
    """
    size = _position_bits(positions, total)
    if _dense_is_shorter(size, positions.size, total):
        return True, b"", pack_digits(spread_steps(positions, steps, total)).tobytes()
    where, cut = encode_positions(positions, total), packed_length(size, 8)
    stream = np.packbits(np.concatenate([where, steps - np.uint8(1)])).tobytes()
    return False, stream[:cut], stream[cut:]


def decode_changes(
    dense: bool, where: bytes, values: bytes, count: int, total: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Inverse of :func:`encode_changes`; refuses every form but the one that it gives."""
    if dense:
        if where:
            raise ValueError("positions is not empty beside dense values")
        digits = unpack_digits(np.frombuffer(values, dtype=np.uint8), total)
        changed = np.count_nonzero(digits)
        if changed != count:
            raise ValueError(f"values changes {changed} trits; the header says {count}")
        positions, steps = gather_steps(digits)
        if not _dense_is_shorter(_position_bits(positions, total), count, total):
            raise ValueError("values is dense where positions would be shorter")
        return positions, steps
    bits = np.unpackbits(np.frombuffer(where + values, dtype=np.uint8))
    positions, used = decode_positions(bits, count, total)
    if len(where) != packed_length(used, 8) or len(where) + len(values) != packed_length(used + count, 8):
        raise ValueError("positions and values do not have the length of their code")
    if np.any(bits[used + count :]):
        raise ValueError("values ends in padding that is not zero")
    if _dense_is_shorter(used, count, total):
        raise ValueError("positions is longer than dense values would be")
    return positions, bits[used : used + count] + np.uint8(1)


def spread_steps(positions: Counted, steps: NDArray[np.uint8], total: int) -> NDArray[np.uint8]:
    """Steps at rising ``positions`` as a row of ``total`` digits, 0 where nothing changes."""
    digits = np.zeros(total, dtype=np.uint8)
    for block in _blocks(positions.size):
        digits[positions[block]] = steps[block]
    return digits


def gather_steps(digits: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Inverse of :func:`spread_steps`: the positions of the digits that are not 0, and these digits."""
    changed = digits != 0
    found = [(np.flatnonzero(changed[block]) + block.start).astype(np.uint32) for block in _blocks(digits.size)]
    return np.concatenate([*found, np.zeros(0, dtype=np.uint32)]), digits[changed]


def encode_affine(entries: Counted, multiplier: Positions, bias: Positions, total: int) -> bytes:
    """Changed entries of ``total``: coded positions padded to a byte, then for each its steps of ``M`` and ``B``."""
    records = np.zeros((entries.size, AFFINE_ENTRY_BYTES), dtype=np.uint8)
    records[:, :2] = _little_endian(multiplier)[:, :2]
    records[:, 2:] = _little_endian(bias)[:, :6]
    return np.packbits(encode_positions(entries, total)).tobytes() + records.tobytes()


def decode_affine(section: bytes, count: int, total: int) -> tuple[NDArray[np.uint32], Positions, Positions]:
    """Inverse of :func:`encode_affine`: entries and their steps, 0 to 2**16 - 1 for ``M``, 0 to 2**48 - 1 for ``B``."""
    split = len(section) - count * AFFINE_ENTRY_BYTES
    if split < 0:
        raise ValueError(f"affine holds {len(section)} bytes; {count} entries take more")
    content = np.frombuffer(section, dtype=np.uint8)
    bits = np.unpackbits(content[:split])
    entries, used = decode_positions(bits, count, total)
    if split != packed_length(used, 8) or np.any(bits[used:]):
        raise ValueError("affine does not have the length of its code, or padding that is not zero")
    wide = np.zeros((2, count, 8), dtype=np.uint8)
    records = content[split:].reshape(count, AFFINE_ENTRY_BYTES)
    wide[0, :, :2], wide[1, :, :6] = records[:, :2], records[:, 2:]
    steps = wide.view("<i8")[:, :, 0].astype(np.int64, copy=False)
    if np.any(~steps.any(axis=0)):
        raise ValueError("affine holds an entry that does not change")
    return entries, steps[0], steps[1]


def entropy_bound_bytes(changed: int, total: int) -> float:
    """``N * (H(k) + k) / 8``: bytes that random positions and one bit each take on average, ``k = changed / N``."""
    if not 0 < changed < total:
        return changed / 8
    ratio = changed / total
    entropy = -ratio * np.log2(ratio) - (1 - ratio) * np.log2(1 - ratio)
    return float(total * (entropy + ratio) / 8)


def largest_change_bytes(positions: Positions, total: int) -> int:
    """Bytes that :func:`encode_changes` never exceeds, whichever of the rising ``positions`` change in the end.

    Fewer positions can take more bytes, because the divisor follows from their number. Under one divisor they cannot:
    a position that is left out saves its one, its value and its remainder, and joining its two gaps raises the sum of
    quotients by 1 at most. So the bound is the largest over the divisors, each with the most positions that have it.
    """
    counts, gaps = np.arange(positions.size + 1), _gaps(positions)
    divisors = _divisors(total)
    chosen = np.argmin([_longest_code(counts, total, divisor) for divisor in divisors], axis=0)
    bits = 0
    for index in np.unique(chosen):
        count = int(counts[chosen == index][-1])
        quotients = int((gaps // _divisor(*divisors[index])).sum()) + positions.size - count
        bits = max(bits, _remainder_bits(count, *divisors[index]) + quotients + 2 * count)
    return min(packed_length(bits, 8), dense_bytes(total))


def dense_bytes(total: int) -> int:
    """Bytes of the dense form of ``total`` trits."""
    return packed_length(total, DIGITS_PER_BYTE)


def _divisor(low_bits: int, triple: bool) -> int:
    return (3 if triple else 1) << low_bits


def _divisors(total: int) -> list[tuple[int, bool]]:
    """The ``(b, triple)`` that may divide gaps below ``total``, smallest divisor first."""
    divisors = [(b, triple) for b in range(max(total, 1).bit_length()) for triple in (False, True)]
    return sorted(divisors, key=lambda divisor: _divisor(*divisor))


def _remainder_bits(count: Count, low_bits: int, triple: bool) -> Count:
    return count * low_bits + (8 * -(-count // DIGITS_PER_BYTE) if triple else 0)


def _longest_code(count: Count, total: int, divisor: tuple[int, bool]) -> Count:
    """Bits of the longest code that ``count`` positions below ``total`` can take under a divisor."""
    return _remainder_bits(count, *divisor) + count + (total - count) // _divisor(*divisor)


def _gaps(positions: Counted, before: int = -1) -> Positions:
    gaps = positions.astype(np.int64)
    gaps[1:] -= positions[:-1]
    gaps[:1] -= before
    return gaps - 1


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def _blocks_of_gaps(positions: Counted) -> Iterator[tuple[slice, Positions]]:
    for block in _blocks(positions.size):
        yield block, _gaps(positions[block], int(positions[block.start - 1]) if block.start else -1)


def _position_bits(positions: Counted, total: int) -> int:
    """Length of :func:`encode_positions`."""
    low_bits, triple = golomb_divisor(positions.size, total)
    quotients = sum(int((gaps // _divisor(low_bits, triple)).sum()) for _, gaps in _blocks_of_gaps(positions))
    return _remainder_bits(positions.size, low_bits, triple) + quotients + positions.size


def _dense_is_shorter(position_bits: int, count: int, total: int) -> bool:
    return dense_bytes(total) < packed_length(position_bits + count, 8)


def _little_endian(values: Positions) -> Bytes:
    return values.astype("<i8").view(np.uint8).reshape(-1, 8)
