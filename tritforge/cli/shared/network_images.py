"""Images for a network: a file's, random ones, or test images of the data set that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import DataError
from tritforge.network.network import Network


def network_images(
    network: Network, count: int, data: Path | None = None, pixel_seed: int | None = None, folder: str | None = None
) -> tuple[NDArray, NDArray | None]:
    """The first ``count`` images ``(count, C, H, W)`` and their labels, where there are any.

    Args:
        network: for whose input.
        count: how many at most.
        data: ``.npz`` file with ``images`` and perhaps ``labels``.
        pixel_seed: random pixels instead.
        folder: of the data set that the network was trained on, if it has moved since.

    Raises:
        DataError: a file that is none of images, images of another shape, or a network that names no data set.
    """
    spec = network.input
    shape = (spec.channels, spec.height, spec.width)
    if pixel_seed is not None:
        return np.random.default_rng(pixel_seed).integers(0, 1 << spec.bits, (count, *shape)), None
    if data is None:
        return _test_images(network, count, folder)
    try:
        with np.load(data, allow_pickle=False) as file:
            images = file["images"][:count]
            labels = file["labels"][:count] if "labels" in file.files else None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{data}: not an .npz file with an array `images` ({error})") from None
    if images.shape[1:] != shape:
        raise DataError(f"{data}: images are {images.shape[1:]}; the network takes {shape}")
    return images, labels


def _test_images(network: Network, count: int, folder: str | None) -> tuple[NDArray, NDArray]:
    """Test images of the data set that the network's provenance names."""
    if "recipe" not in network.provenance:
        raise DataError("the network file does not say what it was trained on; give --data FILE or --random-pixels")
    from tritforge.compress.training.evaluate_target import network_dataset

    test = network_dataset(network, folder).test
    return test.images[:count], test.labels[:count]
