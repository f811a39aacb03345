"""Packed images: a whole data set as one ``.npz``, which travels to another machine more easily than 60,000 files.

Arrays ``train_bytes`` (uint8, all encoded files end to end), ``train_offsets`` (int64, ``n + 1``), ``train_labels``
(whole numbers, ``n``), the same with ``test_``, and ``classes``, the class names. Images are JPEG, PNG or whatever else
Pillow reads, all of one size. A pack of pixels has ``train_pixels`` and ``test_pixels`` (uint8, ``(n, C, H, W)``)
instead of bytes and offsets; they are mapped from the file as they are used, so that they may exceed the memory.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tritforge.compress.data.dataset import Dataset, Split, assemble
from tritforge.compress.data.image_files import decode_all
from tritforge.errors import DataError
from tritforge.files import atomic_stream, reason

Arrays = dict[str, NDArray]

PARTS = ("train", "test")


@dataclass(frozen=True)
class Streamed:
    """A uint8 array that is written piece by piece: its shape, and its bytes in order."""

    shape: tuple[int, ...]
    pieces: Iterable[bytes]


def load_packed(path: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """The data set in the pack at ``path``, named after the file.

    Raises:
        DataError: the pack is missing, damaged or inconsistent; the sentence names the array or the image.
    """
    path = Path(path)
    arrays = _read(path)
    names = tuple(str(name) for name in _array(arrays, "classes", path, "U"))
    if "train_pixels" in arrays:
        train, test = (Split(_pixels(arrays, part, path), _labels(arrays, part, len(names), path)) for part in PARTS)
    else:
        train, test = _decoded(arrays, len(names), path)
    return assemble(path.stem, len(names), train, test, validation_fraction, names)


def write_pack(path: str | Path, arrays: Mapping[str, NDArray | Streamed]) -> None:
    """Write an uncompressed ``.npz`` piece by piece; the same arrays always give the same bytes.

    Raises:
        TritforgeError: the pack cannot be written; an old one then stays as it was.
    """
    with atomic_stream(path) as stream, zipfile.ZipFile(stream, "w") as pack:
        for name, array in arrays.items():
            with pack.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                if isinstance(array, Streamed):
                    header = {"descr": "|u1", "fortran_order": False, "shape": array.shape}
                    npy.write_array_header_1_0(member, header)
                    written = sum(member.write(piece) for piece in array.pieces)
                    assert written == math.prod(array.shape), f"{name} has {written} bytes"
                else:
                    npy.write_array(member, array, allow_pickle=False)


def encoded_arrays(part: str, files: Sequence[bytes]) -> Arrays:
    """The arrays of a part's encoded images, without their labels."""
    return {
        f"{part}_bytes": np.frombuffer(b"".join(files), np.uint8),
        f"{part}_offsets": np.cumsum([0, *map(len, files)], dtype=np.int64),
    }


def _read(path: Path) -> Arrays:
    """All arrays of a pack; those of pixels are mapped."""
    try:
        with zipfile.ZipFile(path) as pack:
            return {member.filename.removesuffix(".npy"): _member(path, pack, member) for member in pack.infolist()}
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    except Exception as error:  # a damaged archive makes zipfile and numpy raise many kinds
        raise DataError(f"{path} is not a pack of images, or it is damaged") from error


def _member(path: Path, pack: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray:
    with pack.open(member) as stream:
        shape, fortran, dtype = _header(stream)
        size = math.prod(shape) * dtype.itemsize
        begin = stream.tell()
        if fortran or dtype.hasobject or begin + size != member.file_size:
            raise ValueError(f"{member.filename} does not have the bytes that its header announces")
        if not member.filename.endswith("_pixels.npy"):
            return np.frombuffer(stream.read(), dtype).reshape(shape)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed and cannot be mapped")
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return np.memmap(path, dtype, "r", member.header_offset + 30 + name + extra + begin, shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type that the header of a ``.npy`` announces."""
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(stream)]
    return read(stream)


def _decoded(arrays: Arrays, classes: int, path: Path) -> tuple[Split, Split]:
    """Both parts of a pack of encoded images, views of one array."""
    labels = [_labels(arrays, part, classes, path) for part in PARTS]
    encoded = chain.from_iterable(
        _encoded(arrays, part, len(own), path) for part, own in zip(PARTS, labels, strict=True)
    )
    both = Split(decode_all(encoded, len(labels[0]) + len(labels[1])), np.concatenate(labels))
    return both.part(0, len(labels[0])), both.part(len(labels[0]), len(both))


def _encoded(arrays: Arrays, part: str, count: int, path: Path) -> Iterator[tuple[bytes, str]]:
    content = _array(arrays, f"{part}_bytes", path, "u").view(np.uint8)
    offsets = _array(arrays, f"{part}_offsets", path, "iu").astype(np.int64)
    if len(offsets) != count + 1:
        raise DataError(f"{path}: {part}_offsets has {len(offsets)} entries for {count} labels, not one more")
    if offsets[0] != 0 or offsets[-1] != len(content) or np.any(np.diff(offsets) < 0):
        raise DataError(f"{path}: {part}_offsets does not divide the {len(content)} bytes of {part}_bytes")
    for index in range(count):
        yield content[offsets[index] : offsets[index + 1]].tobytes(), f"{path}: {part} image {index}"


def _pixels(arrays: Arrays, part: str, path: Path) -> NDArray[np.uint8]:
    name = f"{part}_pixels"
    if name not in arrays or arrays[name].dtype != np.uint8 or arrays[name].ndim != 4:
        raise DataError(f"{path} lacks the four-dimensional array {name} of bytes")
    if len(arrays[name]) != len(_array(arrays, f"{part}_labels", path, "iu")):
        raise DataError(f"{path}: {name} and {part}_labels are not equally many")
    return arrays[name]


def _labels(arrays: Arrays, part: str, classes: int, path: Path) -> NDArray[np.int64]:
    labels = _array(arrays, f"{part}_labels", path, "iu").astype(np.int64)
    if not len(labels):
        raise DataError(f"{path}: {part}_labels is empty")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"{path}: {part}_labels run from {labels.min()} to {labels.max()}; there are {classes} classes")
    return labels


def _array(arrays: Arrays, name: str, path: Path, kinds: str) -> NDArray:
    """A one-dimensional array of one of some kinds (as NumPy's ``dtype.kind`` names them)."""
    if name not in arrays or arrays[name].ndim != 1 or arrays[name].dtype.kind not in kinds:
        what = "words" if "U" in kinds else "whole numbers"
        raise DataError(f"{path} lacks the one-dimensional array {name} of {what}")
    return arrays[name]
