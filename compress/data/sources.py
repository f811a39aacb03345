"""Where data sets come from: every kind that a recipe can name, with its loader and the place of its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tritforge.compress.data.dataset import Dataset
from tritforge.errors import DataError, RecipeError

DATA_VARIABLE = "TRITFORGE_DATA"
"""Names the environment variable with the folder in which data sets lie under their names."""


@dataclass(frozen=True)
class Source:
    """A kind of data set.

    Attributes:
        loader: ``module:function``, imported when it is used; the function takes the place of the files (where there
            is one) and the part of the training images to hold out, and gives a :class:`Dataset`.
        place: what ``data_folder`` leads to; empty for a set that comes with a package.
        found_by_name: whether the files may lie under the set's name in the folder of :data:`DATA_VARIABLE`.
    """

    loader: str
    place: str = ""
    found_by_name: bool = False

    def load(self, place: Path | None, validation_fraction: float) -> Dataset:
        """Read the files at a place.

        Raises:
            DataError: files that are missing, truncated or inconsistent.
        """
        module, _, function = self.loader.partition(":")
        read: Callable[..., Dataset] = getattr(import_module(module), function)
        return read(validation_fraction) if place is None else read(place, validation_fraction)


SOURCES = {
    "digits": Source("tritforge.compress.data.digits:load_digits"),
    "mnist": Source("tritforge.compress.data.mnist:load_mnist", "the folder that holds its four IDX files", True),
    "cifar10": Source("tritforge.compress.data.cifar:load_cifar10", "the folder of its unpacked archive", True),
    "cifar100": Source("tritforge.compress.data.cifar:load_cifar100", "the folder of its unpacked archive", True),
    "folder": Source(
        "tritforge.compress.data.image_folder:load_folder", "a folder of images with parts and class folders"
    ),
    "packed": Source("tritforge.compress.data.packed_images:load_packed", "the path of a .npz pack of images"),
}


def source_of(name: str) -> Source:
    """A source by the name that recipes use.

    Raises:
        RecipeError: an unknown name.
    """
    if name not in SOURCES:
        raise RecipeError(f"dataset is {name!r}; allowed are {', '.join(SOURCES)}")
    return SOURCES[name]


def data_place(name: str, folder: str | Path | None) -> Path:
    """Where the files of a data set lie: ``folder``, or if that is empty the folder of its name in TRITFORGE_DATA.

    Raises:
        RecipeError: an unknown name.
        DataError: neither is given, or the latter does not exist.
    """
    if folder:
        return Path(folder)
    source, root = source_of(name), os.environ.get(DATA_VARIABLE)
    if not source.found_by_name:
        raise DataError(f"the data set {name} needs data_folder, {source.place}")
    if not root:
        raise DataError(
            f"the data set {name} needs data_folder, {source.place}, or {DATA_VARIABLE}, the folder in which that "
            f"one is called {name}"
        )
    place = Path(root) / name
    if not place.is_dir():
        raise DataError(
            f"data folder {place}, which {DATA_VARIABLE} leads to, does not exist; give data_folder, "
            f"{source.place}, or put it there"
        )
    return place


def load_dataset(name: str, folder: str | Path | None = None, validation_fraction: float = 0.1) -> Dataset:
    """A data set by name, from the files that :func:`data_place` finds (``digits`` needs none).

    Raises:
        RecipeError: an unknown name.
        DataError: files that are missing, truncated or inconsistent.
    """
    source = source_of(name)
    return source.load(data_place(name, folder) if source.place else None, validation_fraction)
