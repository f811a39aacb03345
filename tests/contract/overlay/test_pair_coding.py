"""Trits in pairs: one code for each pair, and digits that add up."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tritforge.overlay.pair_coding import bit_planes, decode_words, encode_words

CODES = {
    (0, 0): 0b0000,
    (1, 0): 0b0001,
    (-1, 0): 0b1001,
    (0, 1): 0b0010,
    (0, -1): 0b1010,
    (1, 1): 0b0011,
    (1, -1): 0b0111,
    (-1, 1): 0b1111,
    (-1, -1): 0b1011,
}


def test_the_code_of_every_pair_at_every_place() -> None:
    for (first, second), tap in itertools.product(CODES, range(9)):
        group = np.zeros((9, 16), dtype=np.int8)
        group[tap, 6:8] = first, second
        assert encode_words(group).tolist() == [0, 0, 0, CODES[first, second] << (4 * tap), 0, 0, 0, 0]


@given(arrays(np.int8, (3, 9, 16), elements=st.integers(-1, 1)))
def test_decoding_gives_the_trits_back(groups: np.ndarray) -> None:
    words = encode_words(groups)
    assert words.shape == (3, 8) and int(words.max()) < 1 << 36
    assert np.array_equal(decode_words(words), groups)


@given(arrays(np.int16, (5, 4), elements=st.integers(-255, 255)))
def test_bit_planes_are_trits_that_add_up(weights: np.ndarray) -> None:
    planes = bit_planes(weights, 8)
    assert set(np.unique(planes)) <= {-1, 0, 1}
    assert np.array_equal(sum(plane.astype(int) << k for k, plane in enumerate(planes)), weights)
