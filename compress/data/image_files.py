"""Single image files: decoded to pixels, cut to one size, and encoded again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tritforge.errors import DataError
from tritforge.files import reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
GREY_MODES = ("1", "L", "LA")
WIDE_MODES = ("I", "F")


@dataclass(frozen=True)
class Cut:
    """How images are brought to one size.

    Attributes:
        size: edge of the centre square that is kept, in pixels.
        resize: the shorter side is brought to this length first; at least ``size``.
        jpeg: quality of the JPEG file that the result becomes, 1 to 100; 0 for a lossless PNG file.
    """

    size: int
    resize: int
    jpeg: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize:
            raise DataError(f"images cannot be resized to {self.resize} pixels and then cut to {self.size}")
        if not 0 <= self.jpeg <= 100:
            raise DataError(f"a JPEG quality of {self.jpeg} does not exist; allowed are 1 to 100")

    def apply(self, image: Image.Image) -> Image.Image:
        """The centre square of the resized image (bilinear)."""
        scale = self.resize / min(image.size)
        width, height = (max(self.resize, round(side * scale)) for side in image.size)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
        return resized.crop((left, top, left + self.size, top + self.size))


def read_file(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error


def has_colours(content: bytes, where: str) -> bool:
    """Whether an encoded image is more than grey, by its header.

    Raises:
        DataError: it is damaged or of an unknown format.
    """
    with _opened(content, where) as image:
        return image.mode not in GREY_MODES


def open_image(content: bytes, where: str) -> Image.Image:
    """The decoded image, in mode ``L`` for grey images and ``RGB`` for all others; transparency is dropped.

    Args:
        content: an encoded image.
        where: what a refusal calls it.

    Raises:
        DataError: it is damaged, of an unknown format, or of more than 8 bits a channel.
    """
    with _opened(content, where) as image:
        if image.mode.startswith(WIDE_MODES):
            raise DataError(f"{where} has pixels of mode {image.mode}; 8 bits a channel are expected")
        return image.convert("L" if image.mode in GREY_MODES else "RGB")


@contextmanager
def _opened(content: bytes, where: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # what Pillow's decoders raise on damaged files is of many kinds
        raise DataError(f"{where} cannot be decoded") from error


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels ``(C, H, W)`` of an image of mode ``L`` or ``RGB``."""
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def encode(image: Image.Image, jpeg: int = 0) -> bytes:
    """The image as a PNG file, or as a JPEG file of the given quality."""
    buffer = io.BytesIO()
    if jpeg:
        image.save(buffer, "JPEG", quality=jpeg)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def encode_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels ``(1 or 3, H, W)`` as a PNG file."""
    return encode(Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))))


def decode_all(encoded: Iterable[tuple[bytes, str]], count: int) -> NDArray[np.uint8]:
    """Pixels ``(count, C, H, W)`` of images that must be of one size.

    There are three channels as soon as one image has colours, and grey images then get three equal ones.

    Args:
        encoded: content of each image and what a refusal calls it.
        count: how many there are, at least one.

    Raises:
        DataError: an image that :func:`open_image` refuses or of another size than the first, or more of them than the
            memory holds.
    """
    images = np.empty((count, 0, 0, 0), np.uint8)
    for index, (content, where) in enumerate(encoded):
        pixels = pixels_of(open_image(content, where))
        if index == 0:
            images = _room(count, pixels.shape)
        check_size(pixels.shape[1:], images.shape[2:], where)
        if len(pixels) > images.shape[1]:
            images = np.repeat(images, 3, axis=1)
        images[index] = pixels
    return images


def check_size(size: tuple[int, ...], first: tuple[int, ...], where: str) -> None:
    """Refuse an image ``(height, width)`` of another size than the first."""
    if size != first:
        raise DataError(f"{where} has {size[1]}x{size[0]} pixels; the first image has {first[1]}x{first[0]}")


def _room(count: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        return np.empty((count, *shape), np.uint8)
    except MemoryError as error:
        gigabytes = count * int(np.prod(shape)) / 1e9
        raise DataError(
            f"{count} images take {gigabytes:.0f} GB, more than the memory holds; make a pack of their pixels with "
            "tritforge data pack --pixels, which is read from the disk"
        ) from error
