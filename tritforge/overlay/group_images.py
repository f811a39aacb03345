"""A layer's groups as the accelerator stores them: bitmap words and group slots, in the order it walks them.

Passes of ``pass_outputs`` channels; in a pass, groups along the input channels; for each group its bit planes; and for
each plane the output channels. The scheduler counts its way through slots and words in exactly this order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import INPUT
from tritforge.network.pe_groups import group_weights
from tritforge.overlay.pair_coding import bit_planes, encode_words
from tritforge.overlay.parameters import AcceleratorParameters

QUAD = 4
"""Channels of an image that every quad of channel lanes repeats."""


@dataclass(frozen=True, eq=False)
class GroupImages:
    """Bitmap words ``{stored, active}`` of ``C_g`` channels, slots of 36-bit words, and the descriptor's fields."""

    bitmaps: list[int]
    slots: list[NDArray[np.uint64]]
    fields: dict[str, int]


def group_images(
    layer: Convolution, parameters: AcceleratorParameters, active: int = 0, every_group: bool = False
) -> GroupImages:
    """Bitmap words and slots of a layer; see :func:`tritforge.overlay.lowering.lower` for the arguments."""
    trits = _lane_trits(layer, parameters)
    planes, outputs, groups = trits.shape[:3]
    stored, issued = _bitmaps(layer, trits, active, every_group)
    words = encode_words(trits)
    per_word = parameters.group_channels
    weight = 1 << np.arange(per_word)
    bitmaps: list[int] = []
    slots: list[NDArray[np.uint64]] = []
    for first in range(0, outputs, parameters.pass_outputs):
        last = min(first + parameters.pass_outputs, outputs)
        for group in range(groups):
            for plane in range(planes):
                for low in range(first, last, per_word):
                    high = min(low + per_word, last)
                    own, run = (
                        int((bitmap[plane, low:high, group] * weight[: high - low]).sum())
                        for bitmap in (stored, issued)
                    )
                    bitmaps.append(own << per_word | run)
                    slots.extend(words[plane, n, group] for n in range(low, high) if stored[plane, n, group])
    fields = {
        "groups": groups,
        "planes": planes,
        "plane_step": _digits_per_plane(layer, parameters),
        "quad_shift": int(_reads_quads(layer)),
        "skippable_groups": planes * outputs * groups,
    }
    return GroupImages(bitmaps, slots, fields)


def _reads_quads(layer: Convolution) -> bool:
    return layer.input == INPUT and layer.inputs <= QUAD


def _digits_per_plane(layer: Convolution, parameters: AcceleratorParameters) -> int:
    """Digits that one plane covers: one, or one a quad for a layer over a quad-repeated image."""
    return parameters.quads if _reads_quads(layer) else 1


def _lane_trits(layer: Convolution, parameters: AcceleratorParameters) -> NDArray[np.int8]:
    """Trits by lane: ``(planes, N, G, 9, C_g)``; over a quad-repeated image, one digit in each quad of lanes."""
    digits = _digits_per_plane(layer, parameters)
    planes = -(-(layer.weight_bits - 1) // digits)
    by_digit = bit_planes(layer.weights, planes * digits)
    if not _reads_quads(layer):
        return np.stack([group_weights(plane, parameters.group_channels) for plane in by_digit])
    lanes = np.zeros((planes, layer.outputs, parameters.group_channels, layer.kernel, layer.kernel), dtype=np.int8)
    for index, digit in enumerate(by_digit):
        plane, quad = divmod(index, digits)
        lanes[plane, :, QUAD * quad : QUAD * quad + layer.inputs] = digit
    return np.stack([group_weights(plane, parameters.group_channels) for plane in lanes])


def _bitmaps(
    layer: Convolution, trits: NDArray[np.int8], active: int, every_group: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Groups that own a slot and groups that are issued, each ``(planes, N, G)``."""
    if every_group:
        every = np.ones(trits.shape[:3], dtype=np.bool_)
        return every, every
    if layer.stored is not None:
        return layer.stored[None], layer.active[active][None]
    nonzero = np.asarray(trits.any(axis=(3, 4)))
    return nonzero, nonzero
