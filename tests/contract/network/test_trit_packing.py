from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.network.trit_packing import (
    pack_bitmap,
    pack_digits,
    pack_trits,
    packed_length,
    unpack_bitmap,
    unpack_digits,
    unpack_trits,
)


@given(st.lists(st.integers(-1, 1), max_size=40))
def test_trits_lie_two_bits_each_from_the_lowest(values: list[int]) -> None:
    packed = pack_trits(np.array(values, dtype=np.int8))
    number = sum((value % 4) << 2 * index for index, value in enumerate(values))
    assert int.from_bytes(packed.tobytes(), "little") == number
    assert packed.dtype == np.uint8 and packed.size == -(-len(values) // 4)
    assert unpack_trits(packed, len(values)).tolist() == values


@given(st.lists(st.integers(0, 2), max_size=40))
def test_digits_lie_five_a_byte_from_the_ones(values: list[int]) -> None:
    packed = pack_digits(np.array(values, dtype=np.uint8))
    number = sum(value * 3 ** (index % 5) * 256 ** (index // 5) for index, value in enumerate(values))
    assert int.from_bytes(packed.tobytes(), "little") == number
    assert packed.size == -(-len(values) // 5)
    assert unpack_digits(packed, len(values)).tolist() == values


@given(st.integers(0, 7), st.integers(1, 7), st.integers(0, 99))
def test_bits_lie_from_the_lowest(rows: int, columns: int, seed: int) -> None:
    bitmap = np.random.default_rng(seed).random((rows, columns)) < 0.5
    packed = pack_bitmap(bitmap)
    number = sum(int(bit) << index for index, bit in enumerate(bitmap.reshape(-1)))
    assert int.from_bytes(packed.tobytes(), "little") == number
    assert np.array_equal(unpack_bitmap(packed, (rows, columns)), bitmap)


@pytest.mark.parametrize("byte", range(256))
def test_a_byte_is_refused_or_the_only_form_of_its_values(byte: int) -> None:
    data = np.array([byte], dtype=np.uint8)
    for unpack, pack, most in ((unpack_trits, pack_trits, 4), (unpack_digits, pack_digits, 5)):
        for count in range(1, most + 1):
            try:
                values = unpack(data, count)
            except ValueError:
                continue
            assert pack(values).tolist() == [byte]
    for count in range(1, 9):
        fits = byte < 1 << count
        if fits:
            assert pack_bitmap(unpack_bitmap(data, (count,))).tolist() == [byte]
        else:
            with pytest.raises(ValueError, match="padding"):
                unpack_bitmap(data, (count,))


def test_every_value_is_reached() -> None:
    assert sum(_accepted(unpack_trits, byte, 4) for byte in range(256)) == 3**4
    assert sum(_accepted(unpack_trits, byte, 3) for byte in range(256)) == 3**3
    assert sum(_accepted(unpack_digits, byte, 5) for byte in range(256)) == 3**5
    assert sum(_accepted(unpack_digits, byte, 2) for byte in range(256)) == 3**2


def _accepted(unpack, byte: int, count: int) -> bool:
    try:
        unpack(np.array([byte], dtype=np.uint8), count)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("unpack", "count"), [(unpack_trits, 4), (unpack_digits, 5), (unpack_bitmap, (8,))])
def test_the_length_must_fit(unpack, count) -> None:
    for size in (0, 2):
        with pytest.raises(ValueError, match=f"holds {size} bytes; . values take 1"):
            unpack(np.zeros(size, dtype=np.uint8), count)


def test_a_claimed_shape_is_checked_before_it_is_used() -> None:
    with pytest.raises(ValueError, match="holds 1 bytes"):
        unpack_bitmap(np.zeros(1, dtype=np.uint8), (1 << 40, 1 << 40))
    assert packed_length(0, 8) == 0 and packed_length(9, 8) == 2
