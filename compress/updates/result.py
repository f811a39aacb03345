"""The integer network that an update makes of the deployed one, and the check that nothing else of it changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.export.export import export_network, ternary_weights
from tritforge.compress.models.model import Model
from tritforge.compress.updates.positions import Masks, Positions
from tritforge.network.arithmetic import BIAS_BITS, MULTIPLIER_BITS
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups

Bits = NDArray[np.bool_]


def updated_network(model: Model, base: Network, sent: Positions, pinned: bool) -> Network:
    """The network that ``base`` becomes under the trained model.

    Where thresholds and statistics were pinned, it is ``base`` but for the sent trits, channels and classifier; ``S``
    and ``R`` stay, so a channel's ``M`` and ``B`` are folded at the deployed shift. Otherwise all affine integers are
    folded anew. Bitmaps stay, unless they may change: then the groups that got a trit are stored and issued too.
    """
    grouped = {
        layer.name: _grouped(layer, trits, base.group_channels, sent.bitmaps)
        for layer, trits in zip(base.ternary_layers(), ternary_weights(model).values(), strict=True)
    }
    if pinned and not sent.affine and not sent.head:
        return base.with_layers(dict(grouped))
    exported = export_network(
        model, base.group_channels, {name: _stored(layer) for name, layer in grouped.items()}, base.provenance
    )
    layers: dict[str, Layer] = {}
    for layer in exported.layers:
        own = grouped.get(layer.name)
        layers[layer.name] = layer if own is None else replace(layer, stored=own.stored, active=own.active)
        if pinned and not (sent.head and layer is exported.layers[-1]):
            deployed = own or base.layer(layer.name)
            layers[layer.name] = _with_channels(deployed, layer, sent.affine.get(layer.name))
    return base.with_layers(layers)


def changed_elsewhere(base: Network, updated: Network, sent: Positions) -> list[str]:
    """What differs between two networks that was not to be sent, one clause each; anything is a defect."""
    found = []
    for old, new in zip(base.layers, updated.layers, strict=True):
        head = sent.head and old is base.layers[-1]
        channels = np.full(old.multiplier.shape, head) | _mask(sent.affine, old.name, old.multiplier.shape)
        for field in ("multiplier", "bias"):
            if np.any((getattr(old, field) != getattr(new, field)) & ~channels):
                found.append(f"{old.name}: {field}")
        # S and R are of the whole layer: only where all of it is folded anew can they become others.
        if not channels.all():
            found += [f"{old.name}: {field}" for field in ("shift", "residual_multiplier") if _differs(old, new, field)]
        if not isinstance(old, Convolution) or not isinstance(new, Convolution):
            continue
        free = np.full(old.weights.shape, head) | _mask(sent.trits, old.name, old.weights.shape)
        if np.any((old.weights != new.weights) & ~free):
            found.append(f"{old.name}: weights")
        if not sent.bitmaps:
            found += [f"{old.name}: {field}" for field in ("stored", "active") if _differs(old, new, field)]
    return found


def _grouped(layer: Convolution, trits: NDArray[np.int16], group_channels: int, grows: bool) -> Convolution:
    """A ternary layer with other trits; where bitmaps may change, with the groups that they need."""
    if not grows:
        return replace(layer, weights=trits)
    stored = _stored(layer)
    new = nonzero_groups(trits, group_channels) & ~stored
    return replace(layer, weights=trits, stored=stored | new, active=tuple(active | new for active in layer.active))


def _with_channels(deployed: Layer, exported: Layer, free: object) -> Layer:
    """The deployed layer with the exported ``M`` and ``B`` of the free channels, at its own shift."""
    if free is None:
        return deployed
    channels = np.asarray(free)
    factor = 2.0 ** (deployed.shift - exported.shift)

    def folded(old: NDArray[np.int64], new: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
        limit = (1 << (bits - 1)) - 1
        return np.where(channels, np.clip(np.rint(new * factor), -limit, limit).astype(np.int64), old)

    return deployed.with_affine(
        folded(deployed.multiplier, exported.multiplier, MULTIPLIER_BITS),
        folded(deployed.bias, exported.bias, BIAS_BITS),
    )


def _stored(layer: Convolution) -> Bits:
    assert layer.stored is not None, "a ternary layer has a stored bitmap"
    return layer.stored


def _mask(masks: Masks, name: str, shape: tuple[int, ...]) -> Bits:
    return masks[name].numpy() if name in masks else np.zeros(shape, dtype=np.bool_)


def _differs(old: Layer, new: Layer, field: str) -> bool:
    return not np.array_equal(getattr(old, field, 0), getattr(new, field, 0))
