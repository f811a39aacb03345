from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import NetworkError
from tritforge.network.pe_groups import (
    channels_per_group,
    group_trits,
    group_weights,
    nonzero_groups,
    ungroup_weights,
)

layers = st.tuples(
    st.integers(1, 4), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from([1, 2, 4, 16]), st.integers(0, 99)
)


@pytest.mark.parametrize(("kernel", "expected"), [(1, 144), (3, 16)])
def test_a_group_covers_the_channels_of_the_dissertation(kernel: int, expected: int) -> None:
    assert channels_per_group(kernel, 16) == expected


@pytest.mark.parametrize("kernel", [0, 2, 4, 5])
def test_other_kernels_are_refused(kernel: int) -> None:
    with pytest.raises(NetworkError, match=f"{kernel}x{kernel}"):
        channels_per_group(kernel, 16)


@given(layers)
def test_every_weight_lies_in_the_lane_the_definition_names(layer: tuple[int, int, int, int, int]) -> None:
    outputs, channels, kernel, lanes, seed = layer
    weights = np.random.default_rng(seed).integers(-99, 100, (outputs, channels, kernel, kernel))
    groups = group_weights(weights, lanes)
    seen = np.zeros_like(groups)
    for n, c, row, column in np.ndindex(weights.shape):
        if kernel == 3:
            place = (n, c // lanes, 3 * row + column, c % lanes)
        else:
            place = (n, c // (9 * lanes), c // lanes % 9, c % lanes)
        assert groups[place] == weights[n, c, row, column]
        seen[place] = 1
    assert not groups[seen == 0].any()
    assert groups.shape == (outputs, -(-channels // channels_per_group(kernel, lanes)), 9, lanes)


@given(layers)
def test_grouping_can_be_undone_and_counted(layer: tuple[int, int, int, int, int]) -> None:
    outputs, channels, kernel, lanes, seed = layer
    weights = np.random.default_rng(seed).integers(-1, 2, (outputs, channels, kernel, kernel)).astype(np.int16)
    groups = group_weights(weights, lanes)
    assert groups.dtype == np.int16
    assert np.array_equal(ungroup_weights(groups, channels, kernel), weights)
    bitmap = nonzero_groups(weights, lanes)
    sizes = group_trits(channels, kernel, lanes)
    ones = group_weights(np.ones_like(weights), lanes)
    for n, g in np.ndindex(bitmap.shape):
        assert bitmap[n, g] == bool(groups[n, g].any())
        assert sizes[g] == ones[n, g].sum()


def test_the_last_group_may_be_ragged() -> None:
    weights = np.ones((1, 17, 3, 3))
    assert group_weights(weights, 16).shape == (1, 2, 9, 16)
    assert nonzero_groups(weights, 16).shape == (1, 2)
    assert group_trits(17, 3, 16).tolist() == [144, 9]
    assert group_trits(150, 1, 16).tolist() == [144, 6]
