"""Pixels to a PNG for a picture inside a page: no more than the format needs, the same bytes for the same pixels."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGBA = 6


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG file of ``(height, width, 4)`` RGBA pixels."""
    height, width, channels = pixels.shape
    if channels != 4 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels are {pixels.dtype}{list(pixels.shape)}, not uint8 (height, width, 4)")
    lines = np.zeros((height, 1 + 4 * width), dtype=np.uint8)  # the first byte says: no filter
    lines[:, 1:] = pixels.reshape(height, 4 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, RGBA, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """The PNG as the source of an ``<img>``."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
