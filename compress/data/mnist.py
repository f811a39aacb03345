"""MNIST from its four IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.data.dataset import Dataset, Split, assemble
from tritforge.errors import DataError
from tritforge.files import reason

CLASSES = 10
UNSIGNED_BYTE = 0x08


def load_mnist(folder: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """MNIST from ``folder``, which holds ``train-images-idx3-ubyte`` and the other three, with or without ``.gz``.

    Raises:
        DataError: the folder or a file is missing, truncated, of another kind, or holds labels above 9.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist")
    return assemble("mnist", CLASSES, _split(root, "train"), _split(root, "t10k"), validation_fraction)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a damaged or truncated gzip file") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    header = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DataError(
            f"{path} starts with {content[:4].hex() or 'nothing'}; an IDX file of {dimensions} dimensions of bytes "
            f"starts with 0000{UNSIGNED_BYTE:02x}{dimensions:02x}"
        )
    if len(content) < header:
        raise DataError(f"{path} is truncated inside its header of {header} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(f"{path} has {len(content)} bytes; its header announces {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def _split(root: Path, prefix: str) -> Split:
    images = read_idx(_find(root, f"{prefix}-images-idx3-ubyte"), 3)
    path = _find(root, f"{prefix}-labels-idx1-ubyte")
    labels = read_idx(path, 1)
    if labels.size and labels.max() >= CLASSES:
        raise DataError(f"{path} holds the label {labels.max()}; allowed are 0 to {CLASSES - 1}")
    if len(images) != len(labels):
        raise DataError(f"{path} holds {len(labels)} labels for {len(images)} images; they must be equally many")
    return Split(images[:, None], labels.astype(np.int64))


def _find(root: Path, name: str) -> Path:
    for candidate in (root / f"{name}.gz", root / name):
        if candidate.is_file():
            return candidate
    raise DataError(f"data folder {root} lacks {name} (or {name}.gz)")
