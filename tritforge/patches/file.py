"""The patch file: a header of at most 256 bytes and three sections, each with its CRC32 (docs/file_formats.md).

This module knows bytes, lengths and checksums; what the sections mean is in :mod:`tritforge.patches.codec` and
:mod:`tritforge.patches.patch`. Every changed, missing or added byte is noticed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

from tritforge.errors import PatchError

MAGIC = b"TRITPTCH"
FORMAT_VERSION = 1
MAX_HEADER_BYTES = 256
MAX_COUNT = (1 << 32) - 1

DENSE = 1
SIGNED = 2

SECTIONS = ("positions", "values", "affine")
SIGNATURE_BYTES = 64

_FIELDS = struct.Struct("<8sHHI32s32sIIII3I3I")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size
"""Bytes of an unsigned header; a signature adds 64."""


@dataclass(frozen=True)
class PatchFile:
    """Header fields and raw sections of a patch file whose lengths and checksums hold.

    ``trits`` and ``affine_channels`` are the sizes of the network the patch is for, ``changed_trits`` and
    ``changed_entries`` how many of them it changes. ``signature`` is an Ed25519 signature or empty.
    """

    dense: bool
    version: int
    base_digest: str
    result_digest: str
    trits: int
    changed_trits: int
    affine_channels: int
    changed_entries: int
    sections: tuple[bytes, bytes, bytes]
    signature: bytes = b""


def write_patch_file(file: PatchFile) -> bytes:
    """The bytes of ``file``.

    Raises:
        PatchError: a count or the version does not fit its 32 bits.
    """
    for label in ("version", "trits", "changed_trits", "affine_channels", "changed_entries"):
        if not 0 <= getattr(file, label) <= MAX_COUNT:
            raise PatchError(f"patch: {label} is {getattr(file, label)}; the header holds 0 to {MAX_COUNT}")
    header = _fields(file) + file.signature
    return header + _CRC.pack(zlib.crc32(header)) + b"".join(file.sections)


def read_patch_file(data: bytes) -> PatchFile:
    """Header and sections of ``data``; nothing is allocated from a claimed size before the bytes are there.

    Raises:
        PatchError: magic, format version, flags, lengths or a checksum are wrong; the sentence names which.
    """
    if len(data) < HEADER_BYTES:
        raise PatchError(f"patch: {len(data)} bytes are fewer than the {HEADER_BYTES} of a header")
    magic, version, flags, number, base, result, *numbers = _FIELDS.unpack_from(data)
    if magic != MAGIC:
        raise PatchError(f"patch: starts with {magic!r}; a patch file starts with {MAGIC!r}")
    if version != FORMAT_VERSION:
        raise PatchError(f"patch: format version is {version}; this release reads {FORMAT_VERSION}")
    if flags & ~(DENSE | SIGNED):
        raise PatchError(f"patch: flags are {flags}; allowed are 0 to {DENSE | SIGNED}")
    signed_to = _FIELDS.size + (SIGNATURE_BYTES if flags & SIGNED else 0)
    start = signed_to + _CRC.size
    lengths, checksums = numbers[4:7], numbers[7:10]
    if len(data) != start + sum(lengths):
        raise PatchError(f"patch: {len(data)} bytes; its header tells of {start + sum(lengths)}")
    if _CRC.unpack_from(data, signed_to)[0] != zlib.crc32(data[:signed_to]):
        raise PatchError("patch: the header's checksum does not match its bytes")
    sections = []
    for label, length, checksum in zip(SECTIONS, lengths, checksums, strict=True):
        section = data[start : start + length]
        if zlib.crc32(section) != checksum:
            raise PatchError(f"patch: the checksum of section {label} does not match its bytes")
        sections.append(section)
        start += length
    return PatchFile(
        dense=bool(flags & DENSE),
        version=number,
        base_digest=base.hex(),
        result_digest=result.hex(),
        trits=numbers[0],
        changed_trits=numbers[1],
        affine_channels=numbers[2],
        changed_entries=numbers[3],
        sections=(sections[0], sections[1], sections[2]),
        signature=data[_FIELDS.size : signed_to],
    )


def signed_message(file: PatchFile) -> bytes:
    """What the signature covers: header fields, with the mark that a signature follows, and all sections."""
    return _fields(replace(file, signature=bytes(SIGNATURE_BYTES))) + b"".join(file.sections)


def _fields(file: PatchFile) -> bytes:
    return _FIELDS.pack(
        MAGIC,
        FORMAT_VERSION,
        (DENSE if file.dense else 0) | (SIGNED if file.signature else 0),
        file.version,
        bytes.fromhex(file.base_digest),
        bytes.fromhex(file.result_digest),
        file.trits,
        file.changed_trits,
        file.affine_channels,
        file.changed_entries,
        *(len(section) for section in file.sections),
        *(zlib.crc32(section) for section in file.sections),
    )
