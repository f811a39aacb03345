"""Labelled images in three parts, and the digest that names them in result files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import DataError

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
        return Split(np.asarray(self.images[chosen]), self.labels[chosen])

    def part(self, begin: int, end: int) -> Split:
        """Views of the examples from ``begin`` to before ``end``."""
        return Split(self.images[begin:end], self.labels[begin:end])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test part.

    Validation is split from the training data, and empty where a final run trains on all of it; the test part selects
    nothing. ``class_names`` is empty where classes are only numbered.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...] = ()

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
            for images in _blocks(split.images):
                state.update(np.ascontiguousarray(images).data)
            state.update(split.labels.astype("<i8").tobytes())
        return state.hexdigest()


def class_counts(split: Split, classes: int) -> list[int]:
    """Images of each class."""
    return np.bincount(split.labels, minlength=classes).tolist()


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
        return train, train.part(0, 0)
    kept, held = stratified_split(train.labels, fraction, seed)
    return train.take(kept), train.take(held)


def assemble(
    name: str,
    classes: int,
    train: Split,
    test: Split,
    validation_fraction: float,
    class_names: tuple[str, ...] = (),
) -> Dataset:
    """The data set of two parts that were read, with the validation part held out.

    Raises:
        DataError: a part without images, or parts whose images differ in shape.
    """
    for part, split in (("training", train), ("test", test)):
        if not len(split):
            raise DataError(f"the {part} part of {name} holds no images")
    ours, theirs = train.images.shape[1:], test.images.shape[1:]
    if ours != theirs:
        raise DataError(f"the test images of {name} have shape {theirs}; its training images have {ours}")
    return Dataset(name, classes, *hold_out(train, validation_fraction), test, class_names)


def _blocks(images: NDArray[np.uint8], size: int = 4096) -> Iterator[NDArray[np.uint8]]:
    """Images in order, ``size`` at a time: those of a mapped file need not fit the memory."""
    for start in range(0, len(images), size):
        yield images[start : start + size]
