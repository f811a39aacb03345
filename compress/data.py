"""Labelled images in three parts, and the digest that names them in result files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import DataError, RecipeError

PIXEL_BITS = 8


@dataclass(frozen=True, eq=False)
class Split:
    """Images ``(n, C, H, W)`` uint8 and labels ``(n,)`` int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(
                f"there are {len(self.images)} images and {len(self.labels)} labels; they must be equally many"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray) -> Split:
        """The examples that an index or boolean mask chooses."""
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test part.

    Validation is split from the training data, and empty where a final run trains on all of it; the test part selects
    nothing.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)``."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    def zero_point(self) -> tuple[int, ...]:
        """Integer ``z`` of each channel: the mean training pixel, rounded."""
        return tuple(round(float(mean)) for mean in self.train.images.mean(axis=(0, 2, 3), dtype=np.float64))

    def digest(self) -> str:
        """SHA-256 of the decoded pixels and labels of all parts, with their shapes."""
        state = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            state.update(repr(split.images.shape).encode())
            state.update(np.ascontiguousarray(split.images).tobytes())
            state.update(split.labels.astype("<i8").tobytes())
        return state.hexdigest()


def join(first: Split, second: Split) -> Split:
    """Both splits, one after the other."""
    return Split(np.concatenate([first.images, second.images]), np.concatenate([first.labels, second.labels]))


def stratified_split(labels: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray, NDArray]:
    """Indices of the larger and the smaller part, the smaller with ``fraction`` of every class (rounded), seeded.

    Raises:
        DataError: the fraction leaves one part empty.
    """
    generator = np.random.default_rng(seed)
    smaller = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        smaller.append(members[: round(fraction * len(members))])
    small = np.sort(np.concatenate(smaller))
    large = np.setdiff1d(np.arange(len(labels)), small)
    if not len(small) or not len(large):
        raise DataError(f"a fraction of {fraction} of {len(labels)} images leaves one part of the split empty")
    return large, small


def hold_out(train: Split, fraction: float, seed: int = 0) -> tuple[Split, Split]:
    """Training and validation part of the training data; a fraction of 0 holds out nothing."""
    if fraction == 0:
        return train, Split(train.images[:0], train.labels[:0])
    kept, held = stratified_split(train.labels, fraction, seed)
    return train.take(kept), train.take(held)


DATASETS = ("digits", "mnist", "cifar10", "cifar100", "packed")


def load_dataset(name: str, folder: str | Path | None = None, validation_fraction: float = 0.1) -> Dataset:
    """A data set by name; ``folder`` holds its files where it has any (``packed``: it is the ``.npz`` itself).

    Raises:
        RecipeError: an unknown name.
        DataError: files that are missing, truncated or inconsistent.
    """
    if name == "digits":
        from tritforge.compress.digits import load_digits

        return load_digits(validation_fraction)
    if name == "mnist":
        from tritforge.compress.mnist import load_mnist

        if not folder:
            raise DataError("the data set mnist needs data_folder, the folder that holds its four IDX files")
        return load_mnist(folder, validation_fraction)
    if name in ("cifar10", "cifar100"):
        from tritforge.compress.cifar import load_cifar

        if not folder:
            raise DataError(f"the data set {name} needs data_folder, the folder of its unpacked archive")
        return load_cifar(folder, int(name.removeprefix("cifar")), validation_fraction)
    if name == "packed":
        from tritforge.compress.packed_images import load_packed

        if not folder:
            raise DataError("the data set packed needs data_folder, the path of a .npz pack of images")
        return load_packed(folder, validation_fraction)
    raise RecipeError(f"dataset is {name!r}; allowed are {', '.join(DATASETS)}")
