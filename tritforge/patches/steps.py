"""A patch as data: a vector of steps from one network to another, and its one file form.

Each changed trit moves by 1 or 2 modulo 3, each changed affine entry by steps of ``M`` modulo 2**16 and of ``B``
modulo 2**48. So applying adds the steps, :func:`compose` adds two patches and :func:`reverse` negates one, both without
a network at hand. For one pair of networks and one version there is exactly one unsigned file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import PatchError
from tritforge.network.arithmetic import BIAS_BITS, MULTIPLIER_BITS
from tritforge.network.weight_limit import VARIABLE, weight_limit
from tritforge.patches.codec import (
    Counted,
    decode_affine,
    decode_changes,
    encode_affine,
    encode_changes,
    gather_steps,
    spread_steps,
)
from tritforge.patches.file import PatchFile, read_patch_file, write_patch_file

Row = NDArray[np.int64]

AFFINE_MODULI = (1 << MULTIPLIER_BITS, 1 << BIAS_BITS)


@dataclass(frozen=True, eq=False)
class Patch:
    """Steps from the network ``base_digest`` to ``result_digest``, which then has ``version``.

    Attributes:
        trits: N, trits in stored groups of both networks.
        positions: ``(n,)`` rising positions of changed trits in the order of :mod:`tritforge.network.trit_order`.
        steps: ``(n,)`` 1 or 2, to be added modulo 3.
        affine_channels: affine entries of both networks: channels of all layers, in order.
        entries: ``(e,)`` rising indices of changed affine entries.
        multiplier_steps: ``(e,)`` 0 to 2**16 - 1.
        bias_steps: ``(e,)`` 0 to 2**48 - 1.
        signature: of the file it was read from, or empty.
    """

    base_digest: str
    result_digest: str
    version: int
    trits: int
    positions: Counted
    steps: NDArray[np.uint8]
    affine_channels: int
    entries: Counted
    multiplier_steps: Row
    bias_steps: Row
    signature: bytes = b""


def write_patch(patch: Patch) -> bytes:
    """The file of ``patch``."""
    dense, where, values = encode_changes(patch.positions, patch.steps, patch.trits)
    affine = encode_affine(patch.entries, patch.multiplier_steps, patch.bias_steps, patch.affine_channels)
    return write_patch_file(
        PatchFile(
            dense=dense,
            version=patch.version,
            base_digest=patch.base_digest,
            result_digest=patch.result_digest,
            trits=patch.trits,
            changed_trits=patch.positions.size,
            affine_channels=patch.affine_channels,
            changed_entries=patch.entries.size,
            sections=(where, values, affine),
            signature=patch.signature,
        )
    )


def read_patch(data: bytes, check: Callable[[PatchFile], None] | None = None) -> Patch:
    """Read the patch file ``data``, accepting the one canonical form only.

    ``check`` sees the header before a section is decoded, to hold its claims against a network; claimed counts are
    held against the bytes that are there in any case.

    Raises:
        PatchError: the file is damaged or not canonical, or ``check`` refuses it.
    """
    file = read_patch_file(data)
    limit = weight_limit()
    for name, claimed in (("trits", file.trits), ("affine entries", file.affine_channels)):
        if claimed > limit:
            raise PatchError(f"patch: claims {claimed} {name}, more than {limit}; {VARIABLE} sets another limit")
    if check is not None:
        check(file)
    try:
        positions, steps = decode_changes(
            file.dense, file.sections[0], file.sections[1], file.changed_trits, file.trits
        )
        entries, multiplier, bias = decode_affine(file.sections[2], file.changed_entries, file.affine_channels)
    except ValueError as error:
        raise PatchError(f"patch: section {error}") from error
    return Patch(
        base_digest=file.base_digest,
        result_digest=file.result_digest,
        version=file.version,
        trits=file.trits,
        positions=positions,
        steps=steps,
        affine_channels=file.affine_channels,
        entries=entries,
        multiplier_steps=multiplier,
        bias_steps=bias,
        signature=file.signature,
    )


def compose(first: bytes, second: bytes) -> bytes:
    """One patch for ``first`` and then ``second``, unsigned, with the version of ``second``.

    Raises:
        PatchError: one is damaged, or ``second`` does not start where ``first`` ends.
    """
    a, digits = _spread(first)
    b, others = _spread(second)
    if a.result_digest != b.base_digest or (a.trits, a.affine_channels) != (b.trits, b.affine_channels):
        raise PatchError(
            f"patches do not meet: the first gives network {a.result_digest[:16]}, "
            f"the second starts from {b.base_digest[:16]}"
        )
    check_version(b.version, a.version)
    digits += others
    digits %= 3
    del others
    positions, steps = gather_steps(digits)
    del digits
    entries, (multiplier, bias) = _added(
        (a.entries, [a.multiplier_steps, a.bias_steps]), (b.entries, [b.multiplier_steps, b.bias_steps]), AFFINE_MODULI
    )
    return write_patch(
        replace(
            b,
            base_digest=a.base_digest,
            positions=positions,
            steps=steps,
            entries=entries,
            multiplier_steps=multiplier,
            bias_steps=bias,
            signature=b"",
        )
    )


def reverse(data: bytes, version: int) -> bytes:
    """The patch back from the result of ``data`` to its base, unsigned; versions only rise, so it takes a new one.

    Raises:
        PatchError: ``data`` is damaged, or ``version`` is not higher than its own.
    """
    patch = read_patch(data)
    check_version(version, patch.version)
    return write_patch(
        replace(
            patch,
            base_digest=patch.result_digest,
            result_digest=patch.base_digest,
            version=version,
            steps=3 - patch.steps,
            multiplier_steps=-patch.multiplier_steps % AFFINE_MODULI[0],
            bias_steps=-patch.bias_steps % AFFINE_MODULI[1],
            signature=b"",
        )
    )


def check_version(version: int, current: int) -> None:
    """Versions only rise: refuse one that is not higher than ``current``."""
    if version <= current:
        raise PatchError(f"patch: version is {version}; it must be higher than the present {current}")


def _spread(data: bytes) -> tuple[Patch, NDArray[np.uint8]]:
    """The patch file ``data`` without its changed trits, and those as a row of steps, 0 where a trit stays."""
    patch = read_patch(data)
    digits = spread_steps(patch.positions, patch.steps, patch.trits)
    return replace(patch, positions=patch.positions[:0].copy(), steps=patch.steps[:0].copy()), digits


Vector = tuple[Counted, Sequence[NDArray]]


def _added(first: Vector, second: Vector, moduli: Sequence[int]) -> tuple[Row, list[Row]]:
    """Sum of two sparse vectors (indices, components), each component taken modulo its modulus, without its zeros."""
    indices = np.union1d(first[0], second[0]).astype(np.int64)
    sums = np.zeros((len(moduli), indices.size), dtype=np.int64)
    for places, components in (first, second):
        sums[:, np.searchsorted(indices, places)] += np.asarray(components, dtype=np.int64)
    sums %= np.asarray(moduli, dtype=np.int64)[:, None]
    changed = sums.any(axis=0)
    return indices[changed], list(sums[:, changed])
