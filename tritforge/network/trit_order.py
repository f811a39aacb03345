"""The order of trits: how the weights of stored groups lie in network files and patches.

Layer by layer, output channel by output channel, stored group by stored group, and inside a group in the lane order of
the PE: tap, then channel. Groups that are not stored and the padding lanes of a ragged last group are left out, so
every trit of the order is a real weight, and the length of the order is the ``N`` of the updating ratio.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.network import Network
from tritforge.network.stored_trits import places_of_trits, stored_trit_count, trits_of_weights, weights_of_trits


def trit_count(network: Network) -> int:
    """``N``: trits in stored groups over the ternary layers of ``network``."""
    return sum(
        stored_trit_count(_stored(layer), layer.inputs, layer.kernel, network.group_channels)
        for layer in network.ternary_layers()
    )


def layer_trits(layer: Convolution, group_channels: int) -> NDArray[np.int8]:
    """Trits of one ternary layer's stored groups in order, one row of -1, 0 and 1."""
    return trits_of_weights(layer.weights, _stored(layer), group_channels)


def network_trits(network: Network) -> NDArray[np.int8]:
    """All trits in stored groups, ``(N,)``, each -1, 0 or 1."""
    rows = [layer_trits(layer, network.group_channels) for layer in network.ternary_layers()]
    return np.concatenate([*rows, np.zeros(0, dtype=np.int8)])


def trit_places(network: Network) -> dict[str, NDArray[np.int64]]:
    """By ternary layer, the place of each weight ``(N, C, K, K)`` in the order; -1 where its group is not stored."""
    places: dict[str, NDArray[np.int64]] = {}
    start = 0
    for layer in network.ternary_layers():
        own = places_of_trits(_stored(layer), layer.inputs, layer.kernel, network.group_channels)
        places[layer.name] = np.where(own < 0, -1, start + own)
        start += int((own >= 0).sum())
    return places


def layers_with_trits(network: Network, trits: NDArray[np.int8]) -> dict[str, Convolution]:
    """The ternary layers of ``network`` by name, their stored groups holding ``trits`` ``(N,)``, bitmaps unchanged.

    Raises:
        NetworkError: ``trits`` is no row of N values.
    """
    count = trit_count(network)
    if trits.shape != (count,):
        raise NetworkError(f"trits have shape {list(trits.shape)}; the stored groups take [{count}]")
    replaced: dict[str, Convolution] = {}
    start = 0
    for layer in network.ternary_layers():
        stored = _stored(layer)
        end = start + stored_trit_count(stored, layer.inputs, layer.kernel, network.group_channels)
        weights = weights_of_trits(trits[start:end], stored, layer.inputs, layer.kernel, network.group_channels)
        replaced[layer.name] = replace(layer, weights=weights)
        start = end
    return replaced


def with_trits(network: Network, trits: NDArray[np.int8]) -> Network:
    """A copy of ``network`` whose stored groups hold ``trits`` ``(N,)``; its bitmaps stay as they are.

    Raises:
        NetworkError: ``trits`` is no row of N values, or one of them is no trit.
    """
    return network.with_layers(dict(layers_with_trits(network, trits)))


def _stored(layer: Convolution) -> NDArray[np.bool_]:
    assert layer.stored is not None, "a ternary layer has a stored bitmap"
    return layer.stored
