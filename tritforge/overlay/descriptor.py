"""Layout of the program header and the layer descriptors: one table for lowering, RTL and documentation.

A descriptor is 16 words of 32 bits in a frame of 32; a field never crosses a word. The RTL package with the packed
structs is generated from these tables (``python -m tritforge.rtl.generate``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import ProgramError

FRAME_WORDS = 32
USED_WORDS = 16


@dataclass(frozen=True)
class DescriptorKind:
    """What the accelerator can be told to do with a layer.

    Attributes:
        name: in the RTL and in sentences.
        code: the descriptor's ``kind``; codes count from 0 in the order of the table.
        issues_groups: groups are issued, each on the windows that are loaded for it.
        waits_for_end: the drain takes what the layer before left, and so begins when that layer has ended.
    """

    name: str
    code: int
    issues_groups: bool
    waits_for_end: bool


CONVOLUTION = DescriptorKind("convolution", code=0, issues_groups=True, waits_for_end=False)
AVERAGE_POOL = DescriptorKind("average pool", code=1, issues_groups=False, waits_for_end=True)
KINDS = (CONVOLUTION, AVERAGE_POOL)
"""Every kind, in the order of the codes: what lowering, the models of cost, the RTL and the documentation ask."""


@dataclass(frozen=True)
class Field:
    """A field: name, word, lowest bit, width in bits, meaning."""

    name: str
    word: int
    low: int
    width: int
    meaning: str


def _fields(*rows: tuple[str, int, int, str]) -> tuple[Field, ...]:
    """Place ``(name, word, width, meaning)`` rows one after the other in their words, from bit 0 up."""
    used: dict[int, int] = {}
    placed = []
    for name, word, width, meaning in rows:
        low = used.get(word, 0)
        if low + width > 32:
            raise ValueError(f"field {name} does not fit word {word}")
        used[word] = low + width
        placed.append(Field(name, word, low, width, meaning))
    return tuple(placed)


HEADER = _fields(
    ("layers", 0, 8, "layer descriptors that follow"),
    ("quad_input", 0, 1, "pixels of up to four channels, repeated in every quad of channel lanes"),
    ("input_blocks", 0, 8, "channel blocks of an input pixel"),
    ("input_height", 1, 12, "rows of the image"),
    ("input_width", 1, 12, "columns of the image"),
    ("input_row_stride", 2, 16, "bank words from one row chunk to the next"),
    ("input_base_0", 3, 16, "first bank word of the image buffer that even images use"),
    ("input_base_1", 3, 16, "first bank word of the image buffer that odd images use"),
)

LAYER = _fields(
    ("kind", 0, 4, ", ".join(f"{kind.code} {kind.name}" for kind in KINDS)),
    ("logits", 0, 1, "results leave unshifted as logits"),
    ("residual", 0, 1, "add a residual map"),
    ("pool_outputs", 0, 1, "sum this layer's outputs for the average pool that follows"),
    ("quad_shift", 0, 1, "quad q of the channel lanes counts 2**q: several bit planes a pass"),
    ("pointwise", 0, 1, "1x1 kernel: tap t of group g reads channel block 9 g + t"),
    ("stride_2", 0, 1, "stride 2, else 1"),
    ("input_is_image", 0, 1, "read the image buffer of the current image"),
    ("residual_is_image", 0, 1, "the residual is the current image"),
    ("residual_stride_2", 0, 1, "the residual takes every second pixel"),
    ("residual_half", 0, 1, "the residual's zero channels end in the middle of a block"),
    ("shift", 0, 5, "S"),
    ("plane_step", 0, 4, "shift between bit planes"),
    ("planes", 0, 4, "bit planes of each group"),
    ("residual_multiplier", 1, 16, "R"),
    ("output_blocks", 1, 8, "channel blocks of the output"),
    ("passes", 1, 8, "passes of pass_outputs channels"),
    ("input_base", 2, 16, "first bank word of the input map"),
    ("input_row_stride", 2, 16, "bank words from one row chunk of the input to the next"),
    ("output_base", 3, 16, "first bank word of the output map"),
    ("output_row_stride", 3, 16, "bank words from one row chunk of the output to the next"),
    ("residual_base", 4, 16, "first bank word of the residual map"),
    ("residual_row_stride", 4, 16, "bank words from one row chunk of the residual to the next"),
    ("input_blocks", 5, 8, "channel blocks of the input"),
    ("residual_blocks", 5, 8, "channel blocks of the residual"),
    ("residual_offset", 5, 8, "whole zero blocks in front of the residual's channels"),
    ("groups", 5, 8, "groups along the input channels"),
    ("input_height", 6, 12, "rows of the input"),
    ("input_width", 6, 12, "columns of the input"),
    ("output_height", 7, 12, "rows of the output"),
    ("output_width", 7, 12, "columns of the output"),
    ("tiles_y", 8, 12, "rows of tiles"),
    ("tiles_x", 8, 12, "columns of tiles"),
    ("slot_base", 9, 16, "first group slot"),
    ("affine_base", 9, 16, "first entry of the affine table"),
    ("bitmap_base", 10, 16, "first bitmap word"),
    ("last_words", 10, 8, "bitmap words of the last pass"),
    ("buffer_log2", 10, 3, "log2 of the channel blocks of an accumulator buffer: those of a pass, to a power of two"),
    ("pad_0", 11, 16, "padding of channel lanes 0, 4, 8, ..."),
    ("pad_1", 11, 16, "padding of channel lanes 1, 5, 9, ..."),
    ("pad_2", 12, 16, "padding of channel lanes 2, 6, 10, ..."),
    ("pad_3", 12, 16, "padding of channel lanes 3, 7, 11, ..."),
    ("outputs", 13, 12, "output channels"),
    ("skippable_groups", 14, 24, "groups of the layer's shape in one tile: what would be issued without skipping"),
)


def pack(fields: tuple[Field, ...], values: dict[str, int], label: str) -> NDArray[np.uint64]:
    """Frame of 32 words from field values; raises ProgramError when a value does not fit its field."""
    frame = [0] * FRAME_WORDS
    unknown = set(values) - {field.name for field in fields}
    if unknown:
        raise KeyError(f"{label} has no field {sorted(unknown)[0]}")
    for field in fields:
        value = int(values.get(field.name, 0))
        if not 0 <= value < 1 << field.width:
            raise ProgramError(f"{label}: {field.name} is {value}; the descriptor holds 0 to {(1 << field.width) - 1}")
        frame[field.word] |= value << field.low
    return np.array(frame, dtype=np.uint64)


def unpack(fields: tuple[Field, ...], frame: NDArray[np.uint64]) -> dict[str, int]:
    """Field values of a frame: inverse of :func:`pack`."""
    return {field.name: (int(frame[field.word]) >> field.low) & ((1 << field.width) - 1) for field in fields}


def kind_of(fields: dict[str, int], layer: str) -> DescriptorKind:
    """The kind of a layer's descriptor fields; raises ProgramError for a code without a kind, naming the layer."""
    if fields["kind"] >= len(KINDS):
        known = ", ".join(f"{kind.code} {kind.name}" for kind in KINDS)
        raise ProgramError(f"layer {layer}: its descriptor has kind {fields['kind']}; there are {known}")
    return KINDS[fields["kind"]]
