"""The reference model: NumPy code that defines every bit of every map.

Maps are ``(batch, channels, height, width)`` int64 arrays of unsigned activations; logits are ``(batch, classes)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import affine, requantise
from tritforge.network.network import INPUT, AveragePool, Convolution, Network, residual_stride
from tritforge.network.pe_groups import group_weights, ungroup_weights

Maps = dict[str, NDArray[np.int64]]


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


def run_layer(network: Network, layer: Convolution | AveragePool, maps: Maps, active: int = 0) -> NDArray[np.int64]:
    """One layer's map from the maps it reads: the unit of layer-by-layer comparison."""
    source = maps[layer.input]
    bits = network.activation_bits
    if isinstance(layer, AveragePool):
        total = source.sum(axis=(2, 3), keepdims=True)
        return requantise(total, layer.multiplier, layer.bias, layer.shift, bits)
    zero = np.asarray(network.input.zero_point, dtype=np.int64) if layer.input == INPUT else np.int64(0)
    centred = source - np.reshape(zero, (1, -1, 1, 1))
    accumulator = convolve(centred, active_weights(layer, network.group_channels, active), layer.stride)
    if layer.logits:
        return affine(accumulator, layer.multiplier, layer.bias)
    residual = None
    if layer.residual is not None:
        residual = shortcut(layer, maps[layer.residual], accumulator.shape[1:])
    return requantise(accumulator, layer.multiplier, layer.bias, layer.shift, bits, residual, layer.residual_multiplier)


def active_weights(layer: Convolution, group_channels: int, active: int = 0) -> NDArray[np.int64]:
    """Weights ``(N, C, K, K)`` with the groups outside the chosen active bitmap set to zero."""
    if not layer.ternary:
        return layer.weights.astype(np.int64)
    if not 0 <= active < len(layer.active):
        raise NetworkError(f"active bitmap {active} is asked for; the network has {len(layer.active)}, counted from 0")
    groups = group_weights(layer.weights, group_channels) * layer.active[active][:, :, None, None]
    return ungroup_weights(groups, layer.inputs, layer.kernel).astype(np.int64)


def convolve(source: NDArray[np.int64], weights: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """Exact convolution with zero padding ``K // 2``: ``(B, C, H, W)`` with ``(N, C, K, K)`` to ``(B, N, H', W')``."""
    kernel = weights.shape[2]
    pad = kernel // 2
    padded = np.pad(source, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    batch, channels, rows, columns = windows.shape[:4]
    # float64 is exact here: sums stay far below 2**53, and its matrix product is the fast one.
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * rows * columns, channels * kernel * kernel)
    outputs = weights.shape[0]
    product = patches.astype(np.float64) @ weights.reshape(outputs, -1).T.astype(np.float64)
    return np.rint(product).astype(np.int64).reshape(batch, rows, columns, outputs).transpose(0, 3, 1, 2)


def shortcut(layer: Convolution, source: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Option-A residual: every second pixel, ``(C_out - C_in) / 2`` zero channels on each side."""
    stride, zeros = residual_stride(layer, source.shape[1:], shape)  # type: ignore[arg-type]
    return np.pad(source[:, :, ::stride, ::stride], ((0, 0), (zeros, zeros), (0, 0), (0, 0)))
