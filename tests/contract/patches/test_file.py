from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.errors import PatchError
from tritforge.patches.file import (
    HEADER_BYTES,
    MAX_HEADER_BYTES,
    PatchFile,
    read_patch_file,
    signed_message,
    write_patch_file,
)

SAMPLE = PatchFile(
    dense=False,
    version=7,
    base_digest="ab" * 32,
    result_digest="cd" * 32,
    trits=1000,
    changed_trits=3,
    affine_channels=40,
    changed_entries=2,
    sections=(b"where", b"what", b"affine entries"),
)
SIGNED = replace(SAMPLE, dense=True, signature=bytes(range(64)))


def test_the_header_is_laid_out_as_documented() -> None:
    data = write_patch_file(SIGNED)
    assert data[:8] == b"TRITPTCH"
    assert struct.unpack_from("<HHI", data, 8) == (1, 3, 7)
    assert data[16:48] == b"\xab" * 32 and data[48:80] == b"\xcd" * 32
    assert struct.unpack_from("<4I", data, 80) == (1000, 3, 40, 2)
    assert struct.unpack_from("<3I", data, 96) == (5, 4, 14)
    assert struct.unpack_from("<3I", data, 108) == tuple(zlib.crc32(part) for part in SIGNED.sections)
    assert data[120:184] == bytes(range(64))
    assert struct.unpack_from("<I", data, 184) == (zlib.crc32(data[:184]),)
    assert data[188:] == b"wherewhataffine entries"
    assert len(write_patch_file(SAMPLE)) == HEADER_BYTES + 23 and HEADER_BYTES == 124
    assert HEADER_BYTES + 64 <= MAX_HEADER_BYTES


@given(
    st.booleans(),
    st.tuples(*[st.integers(0, 2**32 - 1)] * 5),
    st.tuples(st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20)),
    st.sampled_from([b"", bytes(64), b"s" * 64]),
)
def test_files_come_back(dense: bool, numbers: Any, sections: Any, signature: bytes) -> None:
    file = PatchFile(dense, numbers[0], "01" * 32, "fe" * 32, *numbers[1:], sections, signature)
    assert read_patch_file(write_patch_file(file)) == file


@pytest.mark.parametrize("file", [SAMPLE, SIGNED, replace(SAMPLE, sections=(b"", b"", b""))])
def test_every_flipped_byte_is_noticed(file: PatchFile) -> None:
    data = write_patch_file(file)
    for place in range(len(data)):
        for mask in (1, 2, 0x10, 0x80, 0xFF):
            with pytest.raises(PatchError, match="^patch: "):
                read_patch_file(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])


@pytest.mark.parametrize("file", [SAMPLE, SIGNED])
def test_every_length_is_noticed(file: PatchFile) -> None:
    data = write_patch_file(file)
    for length in range(len(data)):
        with pytest.raises(PatchError, match=f"^patch: {length} bytes"):
            read_patch_file(data[:length])
    with pytest.raises(PatchError, match=f"{len(data) + 1} bytes; its header tells of {len(data)}"):
        read_patch_file(data + b"\0")


def resealed(data: bytes, place: int, content: bytes) -> bytes:
    header = data[:place] + content + data[place + len(content) : HEADER_BYTES - 4]
    return header + struct.pack("<I", zlib.crc32(header)) + data[HEADER_BYTES:]


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        (0, b"X", "starts with b'XRITPTCH'"),
        (8, b"\2", "format version is 2"),
        (10, b"\4", "flags are 4"),
        (10, b"\0\1", "flags are 256"),
        (10, b"\2", "bytes; its header tells"),
        (96, b"\xff\xff\xff\xff", "header tells of"),
        (108, b"\0", "section positions"),
        (112, b"\0", "section values"),
        (116, b"\0", "section affine"),
    ],
)
def test_a_sealed_header_is_still_checked(place: int, content: bytes, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        read_patch_file(resealed(write_patch_file(SAMPLE), place, content))


def test_each_checksum_names_its_part() -> None:
    data = bytearray(write_patch_file(SAMPLE))
    for place, part in ((20, "header"), (124, "positions"), (129, "values"), (133, "affine")):
        data[place] ^= 1
        with pytest.raises(PatchError, match=part):
            read_patch_file(bytes(data))
        data[place] ^= 1


@pytest.mark.parametrize("field", ["version", "trits", "changed_trits", "affine_channels", "changed_entries"])
def test_numbers_keep_to_32_bits(field: str) -> None:
    assert getattr(read_patch_file(write_patch_file(replace(SAMPLE, **{field: 2**32 - 1}))), field) == 2**32 - 1
    for value in (-1, 2**32):
        with pytest.raises(PatchError, match=f"{field} is {value}"):
            write_patch_file(replace(SAMPLE, **{field: value}))


def test_the_signature_covers_everything_else() -> None:
    message = signed_message(SIGNED)
    assert (
        message
        == signed_message(replace(SIGNED, signature=b""))
        == signed_message(replace(SIGNED, signature=b"x" * 64))
    )
    others = [
        replace(SIGNED, dense=False),
        replace(SIGNED, version=8),
        replace(SIGNED, base_digest="00" * 32),
        replace(SIGNED, changed_entries=3),
        replace(SIGNED, sections=(b"where", b"what", b"affine Entries")),
    ]
    assert all(signed_message(other) != message for other in others)
    assert write_patch_file(SIGNED)[:120] in message and message.endswith(b"".join(SIGNED.sections))
