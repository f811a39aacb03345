"""Groups that a lowered network issues, layer by layer: what an array without any other cost would need.

The *ideal* of skipping counts one cycle for each tile and issued group. It is read from the overlay program itself,
its descriptors and active bitmaps, so that multi-bit layers count the bit planes that are really stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tritforge.overlay.descriptor import FRAME_WORDS, LAYER, kind_of, unpack
from tritforge.overlay.program import OverlayProgram


@dataclass(frozen=True)
class IssuedGroups:
    """One layer in the array.

    Attributes:
        name: of the layer.
        tiles: tiles of P output pixels.
        groups: groups of the layer's shape, its bit planes among them.
        nonzero_groups: groups that the active bitmap issues in each tile.
        slot_base: first slot of the layer in the weight memory.
    """

    name: str
    tiles: int
    groups: int
    nonzero_groups: int
    slot_base: int


def issued_groups(program: OverlayProgram) -> list[IssuedGroups]:
    """Every layer of the program that issues groups, in order."""
    lanes = program.parameters.group_channels
    active = np.array([bin(int(word) & ((1 << lanes) - 1)).count("1") for word in program.images["bitmaps"]])
    layers = []
    frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)[1:]
    for name, frame in zip(program.layer_names, frames, strict=True):
        layer = unpack(LAYER, frame)
        if not kind_of(layer, name).issues_groups:
            continue
        words = layer["groups"] * layer["planes"] * layer["output_blocks"]
        first = layer["bitmap_base"]
        issued = int(active[first : first + words].sum())
        tiles = layer["tiles_y"] * layer["tiles_x"]
        layers.append(IssuedGroups(name, tiles, layer["skippable_groups"], issued, layer["slot_base"]))
    return layers


def ideal_speedup(layers: Iterable[IssuedGroups]) -> float:
    """Sum of tiles times groups over sum of tiles times non-zero groups; 1 where nothing is issued at all."""
    layers = list(layers)
    issued = sum(layer.tiles * layer.nonzero_groups for layer in layers)
    return sum(layer.tiles * layer.groups for layer in layers) / issued if issued else 1.0
