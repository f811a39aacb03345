"""CIFAR-10 and CIFAR-100 from their official binary or python archives, unpacked in a folder."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.data import Dataset, Split, hold_out
from tritforge.errors import DataError
from tritforge.files import reason

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

CIFAR_10 = ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"])
CIFAR_100 = (["train"], ["test"])


def load_cifar(folder: str | Path, classes: int, validation_fraction: float = 0.1) -> Dataset:
    """CIFAR from a folder with the files of either archive; the binary ones (``.bin``) are taken where both are there.

    Args:
        folder: ``cifar-10-batches-bin``, ``cifar-10-batches-py``, ``cifar-100-binary`` or ``cifar-100-python``.
        classes: 10 or 100 (fine labels).
        validation_fraction: part of the training data to hold out.

    Raises:
        DataError: the folder or a file is missing, truncated or of another kind.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist")
    train_names, test_names = CIFAR_10 if classes == 10 else CIFAR_100
    train, validation = hold_out(_files(root, train_names, classes), validation_fraction)
    return Dataset(f"cifar{classes}", classes, train, validation, _files(root, test_names, classes))


def _files(root: Path, names: list[str], classes: int) -> Split:
    parts = []
    for name in names:
        binary, pickled = root / f"{name}.bin", root / name
        if binary.is_file():
            parts.append(_read_binary(binary, classes))
        elif pickled.is_file():
            parts.append(_read_pickle(pickled, classes))
        else:
            raise DataError(f"data folder {root} lacks {name}.bin (or {name} of the python archive)")
    images = np.concatenate([images for images, _ in parts])
    return Split(images.reshape(-1, *SHAPE), np.concatenate([labels for _, labels in parts]))


def _read_binary(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Records of one label byte (CIFAR-100: coarse, then fine) and 3,072 pixels, channel by channel."""
    label_bytes = 1 if classes == 10 else 2
    content = np.frombuffer(_bytes(path), np.uint8)
    record = label_bytes + PIXELS
    if not content.size or content.size % record:
        raise DataError(f"{path} has {content.size} bytes; a whole number of records of {record} bytes is expected")
    records = content.reshape(-1, record)
    return records[:, label_bytes:].copy(), _labels(records[:, label_bytes - 1], classes, path)


def _read_pickle(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        content = _ArraysOnly(io.BytesIO(_bytes(path)), encoding="bytes").load()
        images = np.asarray(content[b"data"])
        labels = np.asarray(content[b"labels" if classes == 10 else b"fine_labels"])
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is not a batch of a CIFAR python archive, or it is damaged") from error
    if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS) or not len(labels):
        raise DataError(
            f"{path} holds {images.dtype}{list(images.shape)} for {len(labels)} labels, not rows of {PIXELS}"
        )
    return images, _labels(labels, classes, path)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain containers; any other name in the file is refused, so that no code of it runs."""

    ALLOWED = (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the archives name numpy.core, which has moved
            return super().find_class(module, name)


def _labels(labels: NDArray, classes: int, path: Path) -> NDArray[np.int64]:
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path} holds the label {labels.max()}; allowed are 0 to {classes - 1}")
    return labels.astype(np.int64)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
