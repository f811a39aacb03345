"""The reference model: NumPy code that defines every bit of every map, layer by layer as their kinds have it.

Maps are ``(batch, channels, height, width)`` int64 arrays of unsigned activations; logits are ``(batch, classes)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.layer import INPUT, Layer, Maps
from tritforge.network.network import Network


def run(network: Network, images: NDArray, active: int = 0) -> Maps:
    """Every map of the network for a batch of images.

    Args:
        network: the integer network.
        images: ``(batch, channels, height, width)`` unsigned pixels.
        active: which active bitmap decides the groups that count.

    Returns:
        Maps by name, the input among them; the last layer's entry has shape ``(batch, classes, 1, 1)``.

    Raises:
        NetworkError: the images do not have the input's shape or range.
    """
    spec = network.input
    pixels = np.asarray(images).astype(np.int64)
    if pixels.ndim != 4 or pixels.shape[1:] != (spec.channels, spec.height, spec.width):
        raise NetworkError(
            f"images have shape {pixels.shape[1:]}; the input is {(spec.channels, spec.height, spec.width)}"
        )
    if pixels.size and not 0 <= pixels.min() <= pixels.max() < 1 << spec.bits:
        raise NetworkError(f"pixels run from {pixels.min()} to {pixels.max()}; the input has {spec.bits} unsigned bits")
    maps: Maps = {INPUT: pixels}
    for layer in network.layers:
        maps[layer.name] = run_layer(network, layer, maps, active)
    return maps


def logits(network: Network, images: NDArray, active: int = 0) -> NDArray[np.int64]:
    """Logits ``(batch, classes)``."""
    return run(network, images, active)[network.layers[-1].name][:, :, 0, 0]


def classify(network: Network, images: NDArray, active: int = 0) -> NDArray[np.int64]:
    """Class of each image, ``(batch,)``; ties go to the lowest class."""
    return np.argmax(logits(network, images, active), axis=1)


def run_layer(network: Network, layer: Layer, maps: Maps, active: int = 0) -> NDArray[np.int64]:
    """One layer's map from the maps it reads: the unit of layer-by-layer comparison."""
    return layer.run(network, maps, active)
