"""The trits of one layer's stored groups in order: output channel, stored group, tap, channel lane.

Groups that are not stored and the padding lanes of a ragged last group are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tritforge.network.pe_groups import blocks_of_outputs, group_trits, group_weights, ungroup_weights


def stored_trit_count(stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int) -> int:
    """Trits in the stored groups of one layer; ``stored`` is its bitmap ``(N, G)``."""
    return int(np.count_nonzero(stored, axis=0) @ group_trits(inputs, kernel, group_channels))


def trits_of_weights(weights: NDArray[np.int16], stored: NDArray[np.bool_], group_channels: int) -> NDArray[np.int8]:
    """Trits of the stored groups of weights ``(N, C, K, K)`` in order, one row of -1, 0 and 1."""
    inputs, kernel = weights.shape[1:3]
    rows = [
        group_weights(weights[some], group_channels)[lanes].astype(np.int8)
        for some, lanes in _stored_lanes(stored, inputs, kernel, group_channels)
    ]
    return np.concatenate([*rows, np.zeros(0, dtype=np.int8)])


def weights_of_trits(
    trits: NDArray[np.int8], stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int
) -> NDArray[np.int16]:
    """Inverse of :func:`trits_of_weights`: weights ``(N, inputs, kernel, kernel)``, zero outside the stored groups."""
    weights = np.zeros((len(stored), inputs, kernel, kernel), dtype=np.int16)
    start = 0
    for some, lanes in _stored_lanes(stored, inputs, kernel, group_channels):
        groups = np.zeros(lanes.shape, dtype=np.int16)
        end = start + int(np.count_nonzero(lanes))
        groups[lanes] = trits[start:end]
        weights[some] = ungroup_weights(groups, inputs, kernel)
        start = end
    return weights


def places_of_trits(stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int) -> NDArray[np.int64]:
    """The place of each weight ``(N, inputs, kernel, kernel)`` in the row; -1 where its group is not stored."""
    places = np.zeros((len(stored), inputs, kernel, kernel), dtype=np.int64)
    start = 0
    for some, lanes in _stored_lanes(stored, inputs, kernel, group_channels):
        order = np.full(lanes.shape, -1, dtype=np.int64)
        end = start + int(np.count_nonzero(lanes))
        order[lanes] = np.arange(start, end)
        places[some] = ungroup_weights(order, inputs, kernel)
        start = end
    return places


def _stored_lanes(
    stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int
) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """``(n, G, 9, C_g)`` for a few output channels at once: lanes that hold a real weight of a stored group."""
    real = group_weights(np.ones((1, inputs, kernel, kernel), dtype=np.bool_), group_channels)
    for some in blocks_of_outputs(len(stored), real.size):
        yield some, real & stored[some, :, None, None]
