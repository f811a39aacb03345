from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import affine, fold_affine, requantise, rounding_offset

accumulators = st.integers(-(2**31) + 1, 2**31 - 1)
multipliers = st.one_of(st.integers(-(2**15), 2**15 - 1), st.sampled_from([-(2**15), 2**15 - 1, 0, 1, -1]))
biases = st.one_of(st.integers(-(2**47), 2**47 - 1), st.sampled_from([-(2**47), 2**47 - 1, 0]))


def as_maps(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64).reshape(1, -1, 1, 1)


@given(
    st.lists(st.tuples(accumulators, multipliers, biases, st.integers(0, 2**16 - 1)), min_size=1, max_size=8),
    st.integers(0, 31),
    st.sampled_from([8, 16]),
    st.integers(0, 2**16 - 1),
    st.booleans(),
)
def test_requantise_is_the_rule_in_unbounded_integers(
    rows: list[tuple[int, int, int, int]], shift: int, bits: int, residual_multiplier: int, has_residual: bool
) -> None:
    acc, mult, bias, res = (list(column) for column in zip(*rows, strict=True))
    res = [value % 2**bits for value in res]
    got = requantise(
        as_maps(acc),
        np.array(mult),
        np.array(bias),
        shift,
        bits,
        as_maps(res) if has_residual else None,
        residual_multiplier,
    )
    half = 2 ** (shift - 1) if shift else 0
    for index, value in enumerate(got[0, :, 0, 0]):
        exact = mult[index] * acc[index] + bias[index] + half
        if has_residual:
            exact += residual_multiplier * res[index]
        assert value == min(max(exact // 2**shift, 0), 2**bits - 1)


def test_half_rounds_up() -> None:
    values = requantise(as_maps([3, 4, 5, 6]), np.ones(4, dtype=np.int64), np.zeros(4, dtype=np.int64), 2, 8)
    assert values[0, :, 0, 0].tolist() == [1, 1, 1, 2]
    assert [rounding_offset(shift) for shift in (0, 1, 2, 31)] == [0, 1, 2, 2**30]


def test_affine_is_per_channel() -> None:
    sums = np.arange(12).reshape(1, 2, 2, 3)
    assert np.array_equal(affine(sums, np.array([2, -3]), np.array([5, 7]))[0, 1], -3 * sums[0, 1] + 7)


@given(
    st.lists(st.tuples(st.floats(-300, 300), st.floats(-1e6, 1e6)), min_size=1, max_size=6),
    st.floats(0, 8),
    st.integers(0, 31),
)
def test_folding_takes_the_largest_shift_that_fits(
    channels: list[tuple[float, float]], residual: float, largest: int
) -> None:
    scale, offset = (np.array(column) for column in zip(*channels, strict=True))
    multiplier, bias, weight, shift = fold_affine(scale, offset, residual, largest)
    live = scale != 0

    def rounded(s: int) -> tuple[list[int], list[int], int]:
        return [round(x * 2**s) for x in scale], [round(x * 2**s) for x in offset], round(residual * 2**s)

    def fits(s: int) -> bool:
        m, b, r = rounded(s)
        small = all(abs(x) <= 2**15 - 1 for x in m) and r <= 2**16 - 1
        return small and all(abs(x) <= 2**47 - 1 for x, alive in zip(b, live, strict=True) if alive)

    m, b, r = rounded(shift)
    assert multiplier.tolist() == m and weight == r
    assert bias.tolist() == [min(max(x, 1 - 2**47), 2**47 - 1) for x in b]
    assert fits(shift) and shift <= largest
    assert shift == largest or not fits(shift + 1)


def test_a_channel_without_weights_takes_no_part() -> None:
    scale, offset = np.array([0.0, 2.0**-20]), np.array([2.0**40, 1.0])
    multiplier, bias, _, shift = fold_affine(scale, offset)
    assert shift == 31
    assert multiplier.tolist() == [0, 2**11]
    assert bias.tolist() == [2**47 - 1, 2**31]
    assert fold_affine(scale, -offset)[1][0] == 1 - 2**47


@pytest.mark.parametrize(("scale", "shift"), [(2**15 - 1, 0), (16383.5, 1), (2**14 - 0.25, 0), (1.0, 14)])
def test_the_multiplier_uses_all_of_its_bits(scale: float, shift: int) -> None:
    assert fold_affine(np.array([scale]), np.array([0.0]))[3] == shift


@pytest.mark.parametrize(
    ("residual", "offset", "shift"),
    [
        (1.0, 0.0, 15),
        (65535.0, 0.0, 0),
        (0.0, 2.0**40, 6),
        (0.0, 2.0**30, 16),
        (0.0, 2.0**47 - 1, 0),
        (0.0, 1 - 2.0**47, 0),
    ],
)
def test_residual_and_bias_bound_the_shift(residual: float, offset: float, shift: int) -> None:
    assert fold_affine(np.array([2.0**-20]), np.array([offset]), residual)[3] == shift


@pytest.mark.parametrize(
    ("scale", "offset", "residual"),
    [(2.0**15, 0.0, 0.0), (-(2.0**15), 0.0, 0.0), (1.0, 2.0**47, 0.0), (1.0, 0.0, 2.0**16), (1.0, 0.0, -1.0)],
)
def test_what_never_fits_names_the_layer(scale: float, offset: float, residual: float) -> None:
    with pytest.raises(NetworkError, match="layer conv7"):
        fold_affine(np.array([scale]), np.array([offset]), residual, layer="conv7")
