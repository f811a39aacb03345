"""Patches between networks: the smallest file that turns one into another, and back.

Two networks can be patched into each other when they differ in trits of stored groups and in affine entries (``M``,
``B``) alone; bitmaps, shifts and multi-bit weights are frozen. The steps themselves are :mod:`tritforge.patches.steps`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError, PatchError
from tritforge.network.digest import network_digest, network_structure
from tritforge.network.layer import Layer
from tritforge.network.network import Network
from tritforge.network.trit_order import layers_with_trits, network_trits, trit_count
from tritforge.patches.codec import dense_bytes, encode_affine, entropy_bound_bytes
from tritforge.patches.file import HEADER_BYTES, PatchFile
from tritforge.patches.steps import (
    AFFINE_MODULI,
    Patch,
    Row,
    check_version,
    read_patch,
    write_patch,
)

VERSION_KEY = "version"
"""Provenance key of the version a network has reached; a network without it is at version 0."""


NO_SIGNATURE = "none"
SIGNATURE_NOT_CHECKED = "present, not checked"
"""What :func:`inspect` can say of a signature: only a public key tells whose it is."""


def network_version(network: Network) -> int:
    """The version that patches have brought ``network`` to; 0 before the first.

    Raises:
        NetworkError: the provenance holds something else under ``version``.
    """
    version = network.provenance.get(VERSION_KEY, 0)
    if type(version) is not int or version < 0:
        raise NetworkError(f"provenance {VERSION_KEY} is {version!r}; it must be an integer, 0 or more")
    return version


def diff(base: Network, new: Network, version: int) -> bytes:
    """The patch file that turns ``base`` into ``new`` and gives it ``version``.

    Raises:
        PatchError: the networks differ in more than trits of stored groups and affine entries (the sentence names
            what), or ``version`` is not higher than the base's.
    """
    _check_same_frame(base, new)
    check_version(version, network_version(base))
    old, changed = network_trits(base), network_trits(new)
    difference = (changed - old) % 3
    positions = np.flatnonzero(difference)
    old_multiplier, old_bias = _affine_rows(base)
    new_multiplier, new_bias = _affine_rows(new)
    multiplier = (new_multiplier - old_multiplier) % AFFINE_MODULI[0]
    bias = (new_bias - old_bias) % AFFINE_MODULI[1]
    entries = np.flatnonzero(multiplier | bias)
    patch = Patch(
        base_digest=network_digest(base),
        result_digest=network_digest(new),
        version=version,
        trits=old.size,
        positions=positions,
        steps=difference[positions].astype(np.uint8),
        affine_channels=multiplier.size,
        entries=entries,
        multiplier_steps=multiplier[entries],
        bias_steps=bias[entries],
    )
    return write_patch(patch)


def apply_to_network(base: Network, data: bytes) -> Network:
    """The network that the patch file ``data`` makes of ``base``, its provenance telling the new version.

    Raises:
        PatchError: the patch is damaged, was made for another network, is not newer, or does not give the network
            that its header names.
    """
    patch = read_patch(data, lambda file: _check_base(file, base))
    trits = network_trits(base)
    trits[patch.positions] = (trits[patch.positions] + 1 + patch.steps.astype(np.int8)) % 3 - 1
    multiplier, bias = _affine_rows(base)
    multiplier[patch.entries] = _wrap(multiplier[patch.entries] + patch.multiplier_steps, AFFINE_MODULI[0])
    bias[patch.entries] = _wrap(bias[patch.entries] + patch.bias_steps, AFFINE_MODULI[1])
    try:
        result = _with_rows(base, trits, multiplier, bias, base.provenance | {VERSION_KEY: patch.version})
    except NetworkError as error:
        raise PatchError(f"patch: its result is no valid network: {error}") from error
    digest = network_digest(result)
    if digest != patch.result_digest:
        raise PatchError(f"patch: its result is network {digest[:16]}, not {patch.result_digest[:16]} as it says")
    return result


def verify(data: bytes, base: Network) -> None:
    """Check that ``data`` can be applied to ``base``; raises what :func:`apply_to_network` raises."""
    apply_to_network(base, data)


def inspect(data: bytes) -> dict[str, Any]:
    """What the patch file ``data`` says of itself: the ``metrics`` of ``tritforge patch inspect``."""
    patch = read_patch(data)
    return {
        "bytes": len(data),
        "changed_trits": int(patch.positions.size),
        "changed_affine_entries": int(patch.entries.size),
        "bound_bytes": entropy_bound_bytes(patch.positions.size, patch.trits),
        "base_digest": patch.base_digest,
        "result_digest": patch.result_digest,
        "version": patch.version,
        "signature": SIGNATURE_NOT_CHECKED if patch.signature else NO_SIGNATURE,
        "trits": patch.trits,
        "affine_entries": patch.affine_channels,
    }


def full_update_bytes(network: Network) -> int:
    """Size of a full update: the patch file in which every trit and every affine entry of ``network`` changes.

    It carries all N trits in the dense form (five a byte) and all affine entries.
    """
    channels = _affine_count(network)
    every = np.arange(channels)
    affine = encode_affine(every, every, every, channels)
    return HEADER_BYTES + dense_bytes(trit_count(network)) + len(affine)


def _check_base(file: PatchFile, base: Network) -> None:
    digest = network_digest(base)
    if file.base_digest != digest:
        raise PatchError(f"patch: made for network {file.base_digest[:16]}; this one is {digest[:16]}")
    sizes = (trit_count(base), _affine_count(base))
    if (file.trits, file.affine_channels) != sizes:
        found = f"{file.trits} trits and {file.affine_channels} affine entries"
        raise PatchError(f"patch: claims a network of {found}; this one has {sizes[0]} and {sizes[1]}")
    if file.changed_trits > file.trits or file.changed_entries > file.affine_channels:
        raise PatchError(f"patch: claims {file.changed_trits} trits and {file.changed_entries} entries; too many")
    check_version(file.version, network_version(base))


def _check_same_frame(base: Network, new: Network) -> None:
    """Refuse networks that differ in what a patch cannot carry, naming the first such field."""
    old, changed = network_structure(base), network_structure(new)
    for before, after in zip(old.pop("layers"), changed.pop("layers"), strict=False):
        _check_equal(f"layer {before['name']}: ", before, after)
    _check_equal("", old | {"layers": len(base.layers)}, changed | {"layers": len(new.layers)})
    for before, after in zip(base.layers, new.layers, strict=True):
        changed_arrays = after.frozen_arrays()
        for field, values in before.frozen_arrays().items():
            if not np.array_equal(values, changed_arrays[field]):
                raise PatchError(f"layer {before.name}: {field} differ; a patch changes trits, M and B alone")


def _check_equal(where: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            found = f"{before.get(key)!r} and {after.get(key)!r}"
            raise PatchError(f"{where}{key} differs, {found}; a patch changes trits, M and B alone")


def _affine_count(network: Network) -> int:
    return sum(layer.multiplier.size for layer in network.layers)


def _affine_rows(network: Network) -> tuple[Row, Row]:
    """``M`` and ``B`` of all layers in order, one entry a channel."""
    return (
        np.concatenate([layer.multiplier for layer in network.layers]),
        np.concatenate([layer.bias for layer in network.layers]),
    )


def _with_rows(
    network: Network, trits: NDArray[np.int8], multiplier: Row, bias: Row, provenance: dict[str, Any]
) -> Network:
    """``network`` with other trits, ``M``, ``B`` and provenance, checked once when all are in place."""
    ternary = layers_with_trits(network, trits)
    replaced: dict[str, Layer] = {}
    start = 0
    for layer in network.layers:
        end = start + layer.multiplier.size
        changed = ternary.get(layer.name, layer)
        replaced[layer.name] = changed.with_affine(multiplier[start:end], bias[start:end])
        start = end
    return replace(network, layers=tuple(replaced.values()), provenance=provenance)


def _wrap(values: Row, modulus: int) -> Row:
    """``values`` modulo ``modulus`` as signed integers."""
    return (values + modulus // 2) % modulus - modulus // 2
