"""Packs made from image folders, and from data sets that come in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.image_files import (
    Cut,
    check_size,
    encode,
    encode_pixels,
    has_colours,
    open_image,
    pixels_of,
    read_file,
)
from tritforge.compress.data.image_folder import ImageFolder, labels_of
from tritforge.compress.data.packed_images import Streamed, encoded_arrays, write_pack

Advance = Callable[[int], None]
Item = TypeVar("Item")


def pack_folder(
    path: str | Path,
    listed: ImageFolder,
    cut: Cut | None = None,
    pixels: bool = False,
    advance: Advance | None = None,
) -> None:
    """Write the pack of an image folder; every image is decoded once, so that a pack holds none that cannot be.

    Args:
        path: the pack.
        listed: the images.
        cut: how to bring them to one size; without it the files are packed as they are and must be of one size.
        pixels: a pack of pixels instead of encoded images; it is written image by image and may exceed the memory.
        advance: called with the number of images just done.

    Raises:
        DataError: an image that cannot be read or decoded, or of another size than the first.
        TritforgeError: the pack cannot be written.
    """
    height, width = size = _image(listed.train[0][0], cut, None)[1].size[::-1]
    coloured = pixels and any(has_colours(read_file(file), str(file)) for file, _ in (*listed.train, *listed.test))
    arrays: dict[str, NDArray | Streamed] = {"classes": np.array(listed.classes)}
    for part, entries in (("train", listed.train), ("test", listed.test)):
        images = _counted((_image(file, cut, size) for file, _ in entries), advance)
        arrays[f"{part}_labels"] = labels_of(entries)
        if pixels:
            shape = (len(entries), 3 if coloured else 1, height, width)
            rows = (np.broadcast_to(pixels_of(image), shape[1:]).tobytes() for _, image in images)
            arrays[f"{part}_pixels"] = Streamed(shape, rows)
        else:
            files = [encode(image, cut.jpeg) if cut is not None else content for content, image in images]
            arrays |= encoded_arrays(part, files)
    write_pack(path, arrays)


def pack_dataset(path: str | Path, dataset: Dataset, pixels: bool = False, advance: Advance | None = None) -> None:
    """Write the lossless pack of a data set without a validation part: PNG files, or its pixels.

    Raises:
        TritforgeError: the pack cannot be written.
    """
    names = dataset.class_names or tuple(map(str, range(dataset.classes)))
    arrays: dict[str, NDArray | Streamed] = {"classes": np.array(names)}
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        arrays[f"{part}_labels"] = split.labels
        if pixels:
            rows = _counted((image.tobytes() for image in split.images), advance)
            arrays[f"{part}_pixels"] = Streamed(split.images.shape, rows)
        else:
            arrays |= encoded_arrays(part, list(_counted(map(encode_pixels, split.images), advance)))
    write_pack(path, arrays)


def _image(file: Path, cut: Cut | None, size: tuple[int, ...] | None) -> tuple[bytes, Image.Image]:
    """A file's content and its image, cut where that is asked; ``(height, width)`` of the image must be ``size``."""
    content = read_file(file)
    image = open_image(content, str(file))
    if cut is not None:
        image = cut.apply(image)
    if size is not None:
        check_size(image.size[::-1], size, str(file))
    return content, image


def _counted(items: Iterable[Item], advance: Advance | None) -> Iterator[Item]:
    for item in items:
        yield item
        if advance is not None:
            advance(1)
