"""The trits of one layer's stored groups in order: output channel, stored group, tap, channel lane.

Groups that are not stored and the padding lanes of a ragged last group are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.network.pe_groups import group_trits, group_weights, ungroup_weights


def stored_trit_count(stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int) -> int:
    """Trits in the stored groups of one layer; ``stored`` is its bitmap ``(N, G)``."""
    return int((stored * group_trits(inputs, kernel, group_channels)).sum())


def trits_of_weights(weights: NDArray[np.int16], stored: NDArray[np.bool_], group_channels: int) -> NDArray[np.int8]:
    """Trits of the stored groups of weights ``(N, C, K, K)`` in order, one row of -1, 0 and 1."""
    lanes = _stored_lanes(stored, weights.shape[1], weights.shape[2], group_channels)
    return group_weights(weights, group_channels)[lanes].astype(np.int8)


def weights_of_trits(
    trits: NDArray[np.int8], stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int
) -> NDArray[np.int16]:
    """Inverse of :func:`trits_of_weights`: weights ``(N, inputs, kernel, kernel)``, zero outside the stored groups."""
    lanes = _stored_lanes(stored, inputs, kernel, group_channels)
    groups = np.zeros(lanes.shape, dtype=np.int16)
    groups[lanes] = trits
    return ungroup_weights(groups, inputs, kernel)


def _stored_lanes(stored: NDArray[np.bool_], inputs: int, kernel: int, group_channels: int) -> NDArray[np.bool_]:
    """``(N, G, 9, C_g)``: lanes that hold a real weight of a stored group."""
    real = group_weights(np.ones((1, inputs, kernel, kernel), dtype=np.bool_), group_channels)
    return real & stored[:, :, None, None]
