"""Which weight word of the accelerator holds a trit: what a change costs where words are staged and committed.

A group slot is ``C_g / 2`` words of 36 bits, each with the nine taps of two channel lanes (see
:mod:`tritforge.overlay.pair_coding`), so up to 18 trits share a word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.network.network import Network
from tritforge.network.pe_groups import TAPS, ungroup_weights


def trit_words(network: Network) -> dict[str, NDArray[np.int64]]:
    """By ternary layer, the word that holds each trit, ``(N, C, K, K)``; -1 where its group is not stored.

    Words are counted over the stored groups of all ternary layers. The addresses that lowering gives them differ.
    """
    pairs = -(-network.group_channels // 2)
    pair = np.arange(network.group_channels) // 2
    words: dict[str, NDArray[np.int64]] = {}
    slots = 0
    for layer in network.ternary_layers():
        assert layer.stored is not None, "a ternary layer has a stored bitmap"
        own = int(layer.stored.sum())
        first = np.full(layer.stored.shape, -1, dtype=np.int64)
        first[layer.stored] = pairs * np.arange(slots, slots + own)
        lanes = np.where(layer.stored[:, :, None, None], first[:, :, None, None] + pair, -1)
        words[layer.name] = ungroup_weights(
            np.broadcast_to(lanes, (*layer.stored.shape, TAPS, network.group_channels)), layer.inputs, layer.kernel
        )
        slots += own
    return words
