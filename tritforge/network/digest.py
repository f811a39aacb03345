"""The network digest: one name for one set of integers, whatever file they lie in.

SHA-256 over, in this order:

1. the line ``tritforge network 1`` and a newline;
2. :func:`network_structure` as canonical JSON (ASCII, keys sorted, no spaces) and a newline;
3. for each layer in order the arrays that its kind gives: the weights ``(N, C, K, K)`` as 16-bit integers, the
   multipliers and the biases as 64-bit integers, the stored bitmap and each active bitmap as one byte (0 or 1) a group.
   All little-endian, in C order; what a layer does not have is left out.

Provenance and file layout take no part.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tritforge.network.network import Network

_TITLE = b"tritforge network 1\n"
_KNOWN: WeakKeyDictionary[Network, str] = WeakKeyDictionary()
"""Digests of networks that are still there; a network does not change."""


def network_digest(network: Network) -> str:
    """SHA-256 of the canonical integers of ``network``, as 64 hexadecimal digits; computed once a network."""
    known = _KNOWN.get(network)
    if known is None:
        known = _KNOWN[network] = _digest(network)
    return known


def _digest(network: Network) -> str:
    digest = hashlib.sha256(_TITLE)
    digest.update(canonical_json(network_structure(network)).encode("ascii") + b"\n")
    for layer in network.layers:
        for values in layer.digest_arrays():
            digest.update(values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def network_structure(network: Network) -> dict[str, Any]:
    """Everything of a network that is no array, as plain JSON values: what a patch cannot change."""
    spec = network.input
    return {
        "activation_bits": int(network.activation_bits),
        "group_channels": int(network.group_channels),
        "input": {
            "bits": int(spec.bits),
            "channels": int(spec.channels),
            "height": int(spec.height),
            "width": int(spec.width),
            "zero_point": [int(value) for value in spec.zero_point],
        },
        "layers": [layer.structure() for layer in network.layers],
    }


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, in ASCII; refuses NaN and infinity with a ``ValueError``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
