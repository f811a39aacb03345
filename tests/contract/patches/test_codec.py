from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.patches.codec import (
    decode_affine,
    decode_changes,
    decode_positions,
    dense_bytes,
    encode_affine,
    encode_changes,
    encode_positions,
    entropy_bound_bytes,
    golomb_divisor,
    largest_change_bytes,
)


@st.composite
def position_sets(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    total = draw(st.one_of(st.integers(0, 60), st.integers(60, 100_000)))
    values = draw(st.sets(st.integers(0, max(total - 1, 0)), max_size=min(total, 50)))
    return np.array(sorted(values if total else []), dtype=np.int64), total


def longest(count: int, total: int, divisor: int, low_bits: int, triple: bool) -> int:
    digits = 8 * -(-count // 5) if triple else 0
    return count * low_bits + digits + count + (total - count) // divisor


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_divisor_has_the_shortest_worst_case(count: int, extra: int) -> None:
    total = count + extra
    low_bits, triple = golomb_divisor(count, total)
    divisor = 2**low_bits * (3 if triple else 1)
    for other in range(13):
        for three in (False, True):
            candidate = 2**other * (3 if three else 1)
            length = longest(count, total, candidate, other, three)
            found = longest(count, total, divisor, low_bits, triple)
            assert (found, divisor) <= (length, candidate) or other >= total.bit_length()


def test_a_code_read_by_hand() -> None:
    """Two of sixteen positions: divisor 4, remainders as planes (1 0, 1 1), quotients 0 and 2 in unary."""
    assert golomb_divisor(2, 16) == (2, False)
    assert encode_positions(np.array([3, 13]), 16).tolist() == [1, 0, 1, 1, 1, 0, 0, 1]
    assert golomb_divisor(5, 30) == (0, True)
    bits = encode_positions(np.array([0, 2, 9, 10, 29]), 30)
    digits = 0 + 1 * 3 + 0 * 9 + 0 * 27 + 0 * 81
    assert bits.tolist() == [int(b) for b in f"{digits:08b}"] + [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1]


@given(position_sets(), st.integers(0, 9))
def test_positions_come_back_and_tell_their_length(case: tuple[np.ndarray, int], tail: int) -> None:
    positions, total = case
    bits = encode_positions(positions, total)
    decoded, used = decode_positions(np.concatenate([bits, np.ones(tail, np.uint8)]), positions.size, total)
    assert decoded.dtype == np.uint32 and np.array_equal(decoded, positions)
    assert used == bits.size
    low_bits, triple = golomb_divisor(positions.size, total)
    assert bits.size <= longest(positions.size, total, 2**low_bits * (3 if triple else 1), low_bits, triple)


@pytest.mark.parametrize("total", [1, 4, 6, 8])
def test_each_bit_string_is_the_code_of_at_most_one_set(total: int) -> None:
    """Exhaustive: every string that decodes is the encoding of what it decodes to, and every set is reached."""
    for count in range(total + 1):
        codes = {tuple(encode_positions(np.array(c, np.int64), total)) for c in combinations(range(total), count)}
        assert len(codes) == len(list(combinations(range(total), count)))
        for length in range(min(max(map(len, codes)) + 1, 14) + 1):
            for bits in product((0, 1), repeat=length):
                try:
                    positions, used = decode_positions(np.array(bits, np.uint8), count, total)
                except ValueError:
                    continue
                assert np.all(np.diff(positions) > 0) and all(0 <= p < total for p in positions)
                assert bits[:used] == tuple(encode_positions(positions, total))


def changes(seed: int, total: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positions = np.sort(rng.choice(total, count, replace=False)).astype(np.int64)
    return positions, rng.integers(1, 3, count).astype(np.uint8)


@pytest.mark.parametrize("total", [20_000, 65_537, 1_000_000])
@pytest.mark.parametrize("ratio", [0.001, 0.0017, 0.003, 0.01, 0.03, 0.05, 0.1, 0.14, 0.2])
def test_random_positions_cost_their_entropy(total: int, ratio: float) -> None:
    count = round(total * ratio)
    ratios = []
    for seed in range(3):
        positions, steps = changes(seed, total, count)
        dense, where, values = encode_changes(positions, steps, total)
        assert not dense
        ratios.append((len(where) + len(values)) / entropy_bound_bytes(count, total))
    assert max(ratios) < 1.05
    if count > 500:
        assert max(ratios) < 1.012


def test_the_bound_is_the_entropy_of_positions_and_one_bit_each() -> None:
    assert entropy_bound_bytes(4000, 8000) == pytest.approx(8000 * 1.5 / 8)
    assert entropy_bound_bytes(1000, 8000) == pytest.approx(1000 * (0.5435644431995964 + 0.125))
    assert entropy_bound_bytes(1, 2) == pytest.approx(0.375)
    assert entropy_bound_bytes(0, 100) == 0
    assert entropy_bound_bytes(80, 80) == 10


@given(st.integers(1, 400), st.floats(0, 1), st.integers(0, 99))
def test_changes_come_back_from_the_shorter_form(total: int, ratio: float, seed: int) -> None:
    count = round(total * ratio)
    positions, steps = changes(seed, total, count)
    dense, where, values = encode_changes(positions, steps, total)
    sparse_bits = encode_positions(positions, total).size + count
    assert len(where) + len(values) == min(dense_bytes(total), -(-sparse_bits // 8))
    assert dense == (-(-total // 5) < -(-sparse_bits // 8))
    again, found = decode_changes(dense, where, values, count, total)
    assert np.array_equal(again, positions) and np.array_equal(found, steps)
    assert again.dtype == np.uint32 and found.dtype == np.uint8


def test_the_cut_between_positions_and_values_loses_no_bits() -> None:
    positions, steps = np.array([3, 13]), np.array([2, 1], dtype=np.uint8)
    assert encode_changes(positions, steps, 16) == (False, b"\xb9", b"\x80")
    positions = np.array([3, 9])
    assert encode_positions(positions, 16).tolist() == [1, 0, 1, 1, 1, 0, 1]
    assert encode_changes(positions, steps, 16) == (False, b"\xbb", b"\x00")


@pytest.mark.parametrize(("total", "count"), [(40, 3), (16, 2), (12, 9), (12, 12), (11, 10), (9, 0)])
def test_no_other_bytes_give_the_same_changes(total: int, count: int) -> None:
    """Every one-byte change, cut, addition and move of the cut is refused or means other changes."""
    positions, steps = changes(5, total, count)
    dense, where, values = encode_changes(positions, steps, total)
    data = where + values
    forms = [(dense, where[:-1], values), (dense, where, values[:-1]), (dense, where, values + b"\0")]
    forms += [(dense, where + b"\0", values), (dense, data, b""), (dense, b"", data), (not dense, where, values)]
    other = np.zeros(total, dtype=np.uint8)
    other[positions] = steps
    forms += [(dense, data[:cut], data[cut:]) for cut in range(len(data) + 1)]
    for place in range(len(data)):
        for byte in range(256):
            flipped = data[:place] + bytes([byte]) + data[place + 1 :]
            forms.append((dense, flipped[: len(where)], flipped[len(where) :]))
    for form in forms:
        if form == (dense, where, values):
            continue
        try:
            found, moves = decode_changes(*form, count, total)
        except ValueError:
            continue
        assert (found.tolist(), moves.tolist()) != (positions.tolist(), steps.tolist()), form
        assert encode_changes(found, moves, total) == form


def test_the_longer_of_the_two_forms_is_refused() -> None:
    from tritforge.network.trit_packing import pack_digits

    positions, steps = changes(1, 100, 5)
    digits = np.zeros(100, dtype=np.uint8)
    digits[positions] = steps
    with pytest.raises(ValueError, match="dense where positions would be shorter"):
        decode_changes(True, b"", pack_digits(digits).tobytes(), 5, 100)
    positions, steps = changes(1, 100, 99)
    stream = np.packbits(np.concatenate([encode_positions(positions, 100), steps - np.uint8(1)])).tobytes()
    cut = -(-encode_positions(positions, 100).size // 8)
    with pytest.raises(ValueError, match="longer than dense"):
        decode_changes(False, stream[:cut], stream[cut:], 99, 100)
    with pytest.raises(ValueError, match="changes 100 trits; the header says 99"):
        decode_changes(True, b"", pack_digits(np.ones(100, np.uint8)).tobytes(), 99, 100)


@pytest.mark.parametrize("count", [5, 1 << 31, (1 << 32) - 1])
def test_claimed_counts_allocate_nothing(count: int) -> None:
    for total in (count - 1, count, (1 << 32) - 1):
        with pytest.raises(ValueError, match=r"claims|ends after"):
            decode_positions(np.zeros(16, dtype=np.uint8), count, total)
        with pytest.raises(ValueError, match=r"claims|ends after|holds . bytes"):
            decode_changes(count % 2 == 0, b"", b"\0\0", count, total)
        with pytest.raises(ValueError, match="affine"):
            decode_affine(b"\0" * 16, count, total)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 99))
def test_affine_entries_come_back(total: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = min(count, total)
    entries = np.sort(rng.choice(total, count, replace=False)).astype(np.int64)
    multiplier, bias = rng.integers(0, 2**16, count), rng.integers(1, 2**48, count)
    section = encode_affine(entries, multiplier, bias, total)
    records = b"".join(
        int(m).to_bytes(2, "little") + int(b).to_bytes(6, "little") for m, b in zip(multiplier, bias, strict=True)
    )
    assert section.endswith(records)
    assert len(section) == 8 * count + -(-encode_positions(entries, total).size // 8)
    for found, given_row in zip(decode_affine(section, count, total), (entries, multiplier, bias), strict=True):
        assert found.dtype in (np.uint32, np.int64) and np.array_equal(found, given_row)


def test_affine_sections_have_one_form() -> None:
    entries = np.array([1, 4])
    section = encode_affine(entries, np.array([0, 7]), np.array([5, 0]), 9)
    assert decode_affine(section, 2, 9)[0].tolist() == [1, 4]
    same = encode_affine(entries, np.array([0, 0]), np.array([5, 0]), 9)
    with pytest.raises(ValueError, match="does not change"):
        decode_affine(same, 2, 9)
    for wrong in (section[:-1], section + b"\0", b"\0" + section, section[:1] + b"\0" + section[1:]):
        with pytest.raises(ValueError, match="affine|position|ends"):
            decode_affine(wrong, 2, 9)
    used = encode_positions(entries, 9).size
    for bit in range(used, 8):
        with pytest.raises(ValueError, match="padding"):
            decode_affine(bytes([section[0] | 128 >> bit]) + section[1:], 2, 9)
    assert used < 8
    with pytest.raises(ValueError, match="more"):
        decode_affine(section[:15], 2, 9)


def change_bytes(positions: np.ndarray, total: int) -> int:
    _, where, values = encode_changes(positions, np.ones(positions.size, dtype=np.uint8), total)
    return len(where) + len(values)


@pytest.mark.parametrize("total", [1, 5, 9])
def test_no_subset_of_positions_takes_more_than_the_bound(total: int) -> None:
    every = np.arange(total)
    subsets = [np.array(own, dtype=np.int64) for size in range(total + 1) for own in combinations(every, size)]
    sizes = {tuple(own): change_bytes(own, total) for own in subsets}
    for whole in subsets:
        within = (size for own, size in sizes.items() if set(own) <= set(whole.tolist()))
        assert max(within) <= largest_change_bytes(whole, total)


@settings(max_examples=300, deadline=None)
@given(position_sets(), st.data())
def test_the_bound_holds_and_grows_with_the_positions(case: tuple[np.ndarray, int], data: st.DataObject) -> None:
    positions, total = case
    bound = largest_change_bytes(positions, total)
    kept = np.array([data.draw(st.booleans()) for _ in positions], dtype=np.bool_)
    assert change_bytes(positions[kept], total) <= largest_change_bytes(positions[kept], total) <= bound


def test_fewer_positions_can_take_more_bytes() -> None:
    """Why a bound is needed: leaving out the last of a run of positions brings a larger divisor for all others."""
    sizes = [change_bytes(np.arange(count), 5000) for count in range(400)]
    longer = [count for count in range(399) if sizes[count] > sizes[count + 1]]
    assert longer
    for count in longer:
        assert largest_change_bytes(np.arange(count + 1), 5000) >= sizes[count]


def test_the_bound_of_scattered_positions_is_close() -> None:
    rng = np.random.default_rng(0)
    for count in (10, 100, 1000):
        positions = np.sort(rng.choice(100_000, count, replace=False))
        assert largest_change_bytes(positions, 100_000) <= 1.02 * change_bytes(positions, 100_000) + 1


def test_the_bound_is_never_above_the_dense_form() -> None:
    assert largest_change_bytes(np.arange(1000), 1000) == dense_bytes(1000)
    assert largest_change_bytes(np.zeros(0, dtype=np.int64), 1000) == 0
