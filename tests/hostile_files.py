"""Spoiled copies of files, made with knowledge of their structure, so that most get past the first check."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from tritforge.patches.file import HEADER_BYTES, SIGNATURE_BYTES

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 256, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 64) - 1, -(1 << 63), 10**400),
    *(
        0.5,
        -0.0,
        1e300,
        "",
        "input",
        "stem",
        "\x1b[31m\n",
        "\ud800",
        "a" * 100_000,
        "../../etc",
        [],
        {},
        [0],
        [[]],
        {"": 0},
    ),
)
"""What a value of a JSON document is replaced by."""

TEXTS = ("NaN", "-Infinity", "1e999", "[" * 50_000 + "]" * 50_000, '{"a":1,"a":1}', "9" * 5000, '"\\ud800"', "nul")
"""JSON, and what is none, that takes a value's place as text."""

MARK = "\u0001the text\u0001"


def spoiled_bytes(random: Random, data: bytes) -> bytes:
    """``data`` with a byte changed, a piece cut out, put in, repeated or overwritten, or an end missing."""
    start = random.randrange(len(data))
    stop = min(len(data), start + random.choice((1, 2, 8, 64)))
    piece = data[start:stop]
    return random.choice(
        (
            data[:start] + bytes([data[start] ^ 1 << random.randrange(8)]) + data[start + 1 :],
            data[:start],
            data[:start] + data[stop:],
            data[:start] + piece + data[start:],
            data[:start] + random.randbytes(len(piece)) + data[stop:],
            data[:start] + b"\xff" * len(piece) + data[stop:],
            data + random.randbytes(8),
        )
    )


def spoiled_json(random: Random, text: str) -> str:
    """A JSON text with one value of its document replaced, left out, repeated, renamed or nested."""
    document = copy.deepcopy(json.loads(text))
    holder, key = random.choice(list(_places(document)))
    way = random.randrange(6)
    if way == 0:
        holder[key] = MARK
        return json.dumps(document).replace(json.dumps(MARK), random.choice(TEXTS), 1)
    if way == 1:
        del holder[key]
    elif way == 2 and isinstance(holder, dict):
        holder[random.choice(("surprise", "\x1b]0;x\x07", "name", "\ud800"))] = holder.pop(key)
    elif way == 2:
        holder.append(holder[key])
    elif way == 3:
        holder[key] = [holder[key]]
    elif way == 4 and type(holder[key]) is int:
        holder[key] += random.choice((-1, 1, 1 << 16, 1 << 32))
    else:
        holder[key] = random.choice(VALUES)
    return json.dumps(document)


def spoiled_tensors(random: Random, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of which one is missing, renamed, added, of another type or shape, or of other values."""
    spoiled = dict(tensors)
    name = random.choice(sorted(spoiled))
    values = spoiled.pop(name)
    other = np.frombuffer(random.randbytes(values.nbytes), values.dtype).reshape(values.shape)
    ways = (
        {},
        {random.choice(("surprise", "\x1b[2J", "", "a" * 5000)): values},
        {name: values, f"{name}.more": values},
        {name: values.astype(random.choice(("<i4", "<f4", "<f8", "u1", "<u8", "?")))},
        {name: values.reshape(1, *values.shape)},
        {name: values[:-1].copy()},
        {name: np.concatenate([values, values])},
        {name: other},
        {name: values[:0].copy()},
        {name: values, random.choice(sorted(tensors)): values},
    )
    return spoiled | random.choice(ways)


def spoiled_safetensors(random: Random, data: bytes) -> bytes:
    """A ``.safetensors`` file with one piece of metadata: its bytes, header, metadata or tensors are spoiled."""
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].decode()
    ((key, text),) = json.loads(header)["__metadata__"].items()
    way = random.randrange(6)
    if way == 0:
        return spoiled_bytes(random, data)
    if way == 1:
        other = spoiled_json(random, header).encode("utf-8", "surrogatepass")
        return len(other).to_bytes(8, "little") + other + data[8 + size :]
    if way == 2:
        return save(spoiled_tensors(random, load(data)), metadata={key: text})
    return save(load(data), metadata={key: spoiled_json(random, text)})


def spoiled_patch(random: Random, data: bytes) -> bytes:
    """An unsigned patch file, spoiled at random, or in header or sections with its checksums made to fit again."""
    if random.randrange(5) == 0:
        return spoiled_bytes(random, data)
    fields = bytearray(data[: HEADER_BYTES - 4])
    start, sections = HEADER_BYTES, []
    for length in struct.unpack_from("<3I", data, 96):
        sections.append(data[start : start + length])
        start += length
    signature = b""
    way = random.randrange(4)
    if way == 0:
        place = random.choice((12, 80, 84, 88, 92))
        (value,) = struct.unpack_from("<I", fields, place)
        value = random.choice((0, 1, value - 1, value + 1, value ^ 1 << random.randrange(32), 1 << 24, (1 << 32) - 1))
        struct.pack_into("<I", fields, place, value % (1 << 32))
    elif way == 1:
        place = random.randrange(8, 80)
        fields[place] ^= 1 << random.randrange(8)
    elif way == 2:
        fields[10] |= 2
        signature = random.randbytes(SIGNATURE_BYTES)
    else:
        which = random.randrange(3)
        sections[which] = spoiled_bytes(random, sections[which] or b"\0")
    struct.pack_into("<6I", fields, 96, *map(len, sections), *map(zlib.crc32, sections))
    header = bytes(fields) + signature
    return header + struct.pack("<I", zlib.crc32(header)) + b"".join(sections)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every list and object of ``document`` with each of its keys."""
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])
