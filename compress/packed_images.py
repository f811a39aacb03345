"""Packed images: a whole data set of encoded image files as one ``.npz``.

Arrays ``train_bytes`` (uint8, all files end to end), ``train_offsets`` (int64, ``n + 1``), ``train_labels`` (uint8 or
int64, ``n``), the same with ``test_``, and ``classes``, the class names. Images are JPEG, PNG or whatever else Pillow
reads, all of one size. One file travels to another machine more easily than 60,000.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tritforge.compress.data import Dataset, Split, hold_out
from tritforge.errors import DataError
from tritforge.files import atomic_write, reason

Arrays = dict[str, NDArray]


def load_packed(path: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """The data set in the pack at ``path``, named after the file.

    Raises:
        DataError: the pack is missing, damaged or inconsistent; the sentence names the array or the image.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as pack:
            arrays = {name: pack[name] for name in pack.files}
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a pack of images, or it is damaged") from error
    classes = len(_array(arrays, "classes", path))
    train, validation = hold_out(_split(arrays, "train", classes, path), validation_fraction)
    return Dataset(path.stem, classes, train, validation, _split(arrays, "test", classes, path))


def pack_files(
    path: str | Path,
    train: Sequence[tuple[Path, int]],
    test: Sequence[tuple[Path, int]],
    classes: Sequence[str],
) -> None:
    """Write a pack from image files and their labels.

    Raises:
        TritforgeError: the pack cannot be written.
    """
    arrays: Arrays = {"classes": np.array(list(classes))}
    for prefix, entries in (("train", train), ("test", test)):
        files = [file.read_bytes() for file, _ in entries]
        arrays[f"{prefix}_bytes"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{prefix}_offsets"] = np.cumsum([0, *map(len, files)], dtype=np.int64)
        arrays[f"{prefix}_labels"] = np.array([label for _, label in entries], np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    atomic_write(path, buffer.getvalue())


def _split(arrays: Arrays, prefix: str, classes: int, path: Path) -> Split:
    content = _array(arrays, f"{prefix}_bytes", path)
    offsets = _array(arrays, f"{prefix}_offsets", path).astype(np.int64)
    labels = _array(arrays, f"{prefix}_labels", path).astype(np.int64)
    if not len(labels) or len(offsets) != len(labels) + 1:
        raise DataError(f"{path}: {prefix}_offsets has {len(offsets)} entries for {len(labels)} labels, not one more")
    if offsets[0] != 0 or offsets[-1] != len(content) or np.any(np.diff(offsets) < 0):
        raise DataError(f"{path}: {prefix}_offsets does not divide the {len(content)} bytes of {prefix}_bytes")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"{path}: {prefix}_labels run from {labels.min()} to {labels.max()}; there are {classes} classes"
        )
    encoded = content.tobytes()
    first = _decode(encoded[: offsets[1]], f"{path}: {prefix} image 0")
    images = np.empty((len(labels), *first.shape), np.uint8)
    for index in range(len(labels)):
        where = f"{path}: {prefix} image {index}"
        image = _decode(encoded[offsets[index] : offsets[index + 1]], where)
        if image.shape != first.shape:
            raise DataError(f"{where} has shape {image.shape}; the first has {first.shape}")
        images[index] = image
    return Split(images, labels)


def _decode(content: bytes, where: str) -> NDArray[np.uint8]:
    """One image as ``(C, H, W)``: one channel for grey images, else three."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{where} cannot be decoded") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _array(arrays: Arrays, name: str, path: Path) -> NDArray:
    if name not in arrays or arrays[name].ndim != 1:
        raise DataError(f"{path} lacks the one-dimensional array {name}")
    return arrays[name]
