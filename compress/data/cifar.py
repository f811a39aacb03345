"""CIFAR-10 and CIFAR-100 from their official binary or python archives, unpacked in a folder."""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.data.dataset import Dataset, Split, assemble
from tritforge.errors import DataError
from tritforge.files import reason

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

CIFAR_10 = ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"])
CIFAR_100 = (["train"], ["test"])


def load_cifar10(folder: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """CIFAR-10; see :func:`load_cifar`."""
    return load_cifar(folder, 10, validation_fraction)


def load_cifar100(folder: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """CIFAR-100, by its fine labels; see :func:`load_cifar`."""
    return load_cifar(folder, 100, validation_fraction)


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
    train, test = (_files(root, names, classes) for names in (train_names, test_names))
    return assemble(f"cifar{classes}", classes, train, test, validation_fraction, _class_names(root, classes))


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
    stream = io.BytesIO(_bytes(path))
    try:
        content = _ArraysOnly(stream, encoding="bytes").load()
        images = content[b"data"].array()
        labels = np.array(content[b"labels" if classes == 10 else b"fine_labels"])
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path} is not a batch of a CIFAR python archive, or it is damaged") from error
    rows = images.ndim == 2 and images.shape[1] == PIXELS and len(images)
    if not rows or labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(f"{path} does not hold rows of {PIXELS} bytes with a whole number as label of each")
    return images, _labels(labels, classes, path)


class _PickledArray:
    """Stands for an array in a pickle, or for its type: NumPy itself takes what a damaged file says for granted."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        """The bytes as ``(rows, columns)``."""
        _, shape, kind, columns_first, content = self.state
        if kind.arguments[0] not in ("u1", b"u1"):
            raise ValueError("not an array of bytes")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if columns_first else "C")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain containers; any other name in the file is refused, so that no code of it runs."""

    ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): _PickledArray,
        ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
        ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
        ("_codecs", "encode"): codecs.encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return self.ALLOWED[module, name]


def _class_names(root: Path, classes: int) -> tuple[str, ...]:
    """Names from the binary archive's list, a line a class; none where the list is not there, or not one."""
    path = root / ("batches.meta.txt" if classes == 10 else "fine_label_names.txt")
    names = _bytes(path).decode(errors="replace").split() if path.is_file() else []
    return tuple(names) if len(names) == classes else ()


def _labels(labels: NDArray, classes: int, path: Path) -> NDArray[np.int64]:
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DataError(f"{path} holds the label {wrong[0]}; allowed are 0 to {classes - 1}")
    return labels.astype(np.int64)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
