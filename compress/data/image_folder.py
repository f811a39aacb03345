"""Image folders: ``train/CLASS/...`` and ``test/CLASS/...`` (or ``val/CLASS/...``), one folder a class in each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.data.dataset import Dataset, Split, assemble, stratified_split
from tritforge.compress.data.image_files import SUFFIXES, decode_all, read_file
from tritforge.errors import DataError

Entry = tuple[Path, int]
"""An image file and its label."""

TRAIN = "train"
TESTS = ("test", "val")


@dataclass(frozen=True)
class ImageFolder:
    """The image files of a folder, in the order of their paths; classes in the order of their names."""

    classes: tuple[str, ...]
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]


def list_images(root: str | Path, test_fraction: float = 0.0) -> ImageFolder:
    """The images of a folder: files that end in one of ``SUFFIXES``, at any depth below their class; the rest is left.

    Args:
        root: holds the parts, or, with ``test_fraction``, the class folders themselves.
        test_fraction: part of every class to set aside as test part (rounded, seed 0), 0 where the folder has parts.

    Raises:
        DataError: a folder without parts or classes, an empty class, or parts whose classes differ.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist")
    tests = [root / name for name in TESTS if (root / name).is_dir()]
    if test_fraction:
        if (root / TRAIN).is_dir() and tests:
            raise DataError(f"{root} has the parts {TRAIN} and {tests[0].name} already; leave the test fraction out")
        classes, entries = _part(root)
        kept, held = stratified_split(labels_of(entries), test_fraction, 0)
        return ImageFolder(classes, tuple(entries[i] for i in kept), tuple(entries[i] for i in held))
    if not (root / TRAIN).is_dir() or not tests:
        raise DataError(
            f"{root} needs a folder {TRAIN} and a folder {' or '.join(TESTS)}, each with one folder a class; a folder "
            "without parts is split by tritforge data pack --test-fraction"
        )
    if len(tests) > 1:
        raise DataError(f"{root} has both {' and '.join(TESTS)}; leave the one that is to be the test part")
    classes, train = _part(root / TRAIN)
    others, test = _part(tests[0])
    if classes != others:
        name = sorted(set(classes) ^ set(others))[0]
        there, lacking = (TRAIN, tests[0].name) if name in classes else (tests[0].name, TRAIN)
        raise DataError(f"{root}: the class {name} is in {there} but not in {lacking}; both need the same classes")
    return ImageFolder(classes, train, test)


def load_folder(root: str | Path, validation_fraction: float = 0.1) -> Dataset:
    """The data set in an image folder with parts, named after it; all images are decoded.

    Raises:
        DataError: as :func:`list_images`; an image that cannot be decoded, or of another size than the first.
    """
    listed = list_images(root)
    entries = (*listed.train, *listed.test)
    images = decode_all(((read_file(path), str(path)) for path, _ in entries), len(entries))
    both = Split(images, labels_of(entries))
    train, test = both.part(0, len(listed.train)), both.part(len(listed.train), len(entries))
    return assemble(Path(root).resolve().name, len(listed.classes), train, test, validation_fraction, listed.classes)


def labels_of(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """The labels of some entries, in their order."""
    return np.array([label for _, label in entries], np.int64)


def _part(root: Path) -> tuple[tuple[str, ...], tuple[Entry, ...]]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise DataError(f"{root} holds no class folders")
    entries: list[Entry] = []
    for label, folder in enumerate(folders):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not files:
            raise DataError(f"class folder {folder} holds no images; they end in {', '.join(SUFFIXES)}")
        entries += [(path, label) for path in files]
    return tuple(folder.name for folder in folders), tuple(entries)
