"""Cycles of a program on the accelerator, predicted without simulating it.

Where the cycles of an image go:

* **Issue.** A pass over a tile issues its active groups, one a cycle: the ideal. A pass without any costs one.
* **Windows.** Reading a channel group's windows takes 6 cycles (one row of PEs) or 4 (more rows) for 3x3 with stride
  1, 18 (four rows: 24) with stride 2, and for 1x1 one for each channel block of each pixel of the tile. The next
  windows load while groups issue; where those are fewer, the issue waits (``stall_windows``).
* **Drain.** Four output channels of a tile leave a cycle: 4 cycles a block of 16. Where a pass has fewer groups than
  that, or a block waits for its residual, the accumulator buffers run out (``stall_accumulators``).
* **Between layers.** A layer begins while the one before still leaves the PEs and the drain, as soon as the rows that
  it reads are written. Only the pool and the layer that reads a pool wait for their predecessors' last result, and
  maps of few tiles for the rows they need.
* **Between images.** The next image begins likewise, while the last layers of the one before end; or it waits for the
  image input where that is slower.

The recurrences are those of :mod:`tritforge.cost.core_timing`; nothing in them was fitted to measurements. Times are in
clock cycles throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tritforge.cost.core_timing import STEP_TO_SUMS, STEP_TO_TILE, CoreTiming, LayerShape, LayerTimes, Word
from tritforge.cost.input_timing import InputTiming
from tritforge.network.pe_groups import TAPS
from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, LAYER, kind_of, unpack
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram

IMAGES = 8
"""Images in a row whose times are followed; the mean distance is that of the later half."""
WRITE_TO_START = 2
"""image_input, sequencer: from the write of an image's last word to the image's entry."""
END_TO_INPUT = 2
"""sequencer, image_input: from the end of the image that had a buffer to the next beat into it."""


class HasWords(Protocol):
    """A program, of which timing needs the parameters and the words alone."""

    @property
    def parameters(self) -> AcceleratorParameters:
        """The accelerator."""
        ...

    @property
    def images(self) -> Mapping[str, NDArray[np.uint64]]:
        """Words by memory space."""
        ...


@dataclass(frozen=True)
class LayerPrediction:
    """A layer of an image.

    Attributes:
        name: the layer.
        cycles: of a row of images: from the end of the layer before to its own, as the layer's cycle counter counts.
        alone_cycles: the same of an image alone.
        issued: groups issued: tiles times active groups.
        dense: groups that would be issued without skipping: tiles times groups of the layer's shape.
        stall_windows, stall_accumulators: cycles in which a group waited for windows or for an accumulator buffer.
    """

    name: str
    cycles: int
    alone_cycles: int
    issued: int
    dense: int
    stall_windows: int
    stall_accumulators: int


@dataclass(frozen=True)
class Prediction:
    """Cycles of one program.

    Attributes:
        layers: every layer of an image, in order.
        latency_cycles: of an image alone, from its start to its end, as the LAST_LATENCY counter counts.
        input_cycles: cycles from the first beat of an image to the write of its last word, while the array computes.
        distances: from each result to the next when images are streamed back to back.
        cycles_per_image: their mean over the later half.
    """

    layers: tuple[LayerPrediction, ...]
    latency_cycles: int
    input_cycles: int
    distances: tuple[int, ...]
    cycles_per_image: float

    @property
    def issued(self) -> int:
        """Groups issued, Σ tiles * active groups: the cycles of an array that does nothing else."""
        return sum(layer.issued for layer in self.layers)

    @property
    def ideal_dense_cycles(self) -> int:
        """Σ tiles * groups: the cycles of an array that issues every group and does nothing else."""
        return sum(layer.dense for layer in self.layers)

    @property
    def ideal_cycles(self) -> int:
        """Σ tiles * active groups."""
        return self.issued


def predict(program: OverlayProgram, images: int = IMAGES) -> Prediction:
    """Cycles of a program; images are taken to be there, and results to be taken, as fast as the streams go.

    Args:
        images: images in a row to follow, at least 2.
    """
    row = ImageRow(program, program.layer_names)
    runs = [row.image() for _ in range(images)]
    fields = row.fields
    ends = [run[-1].done for run in runs]
    first, last = images // 2 - 1, images - 1
    layers = []
    for index, name in enumerate(program.layer_names):
        times = runs[-1][index]
        before = runs[-1][index - 1].done if index else max(ends[-2], times.enters)
        alone = runs[0][index - 1].done if index else runs[0][0].enters
        layers.append(
            LayerPrediction(
                name=name,
                cycles=times.done - before,
                alone_cycles=runs[0][index].done - alone,
                issued=times.issued,
                dense=fields[index]["tiles_y"] * fields[index]["tiles_x"] * fields[index]["skippable_groups"],
                stall_windows=times.stall_windows,
                stall_accumulators=times.stall_accumulators,
            )
        )
    return Prediction(
        layers=tuple(layers),
        latency_cycles=ends[0] - runs[0][0].enters,
        input_cycles=row.input_cycles,
        distances=tuple(later - sooner for sooner, later in pairwise(ends)),
        cycles_per_image=(ends[last] - ends[first]) / (last - first),
    )


class ImageRow:
    """Images that follow each other without a pause, from an idle accelerator on.

    Attributes:
        fields: descriptor fields of every layer.
        input_cycles: of the last image, from its first beat to the write of its last word.

    Args:
        program: its words are all that counts.
        names: of the layers, for what is told; their numbers by default.
    """

    def __init__(self, program: HasWords, names: Sequence[str] = ()) -> None:
        frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)
        header = unpack(HEADER, frames[0])
        parameters = program.parameters
        self.fields = [unpack(LAYER, frame) for frame in frames[1 : 1 + header["layers"]]]
        self.input_cycles = 0
        names = names or [str(index) for index in range(len(self.fields))]
        self._shapes = [layer_shape(program, self.fields, index, name) for index, name in enumerate(names)]
        self._core = CoreTiming(2 * parameters.pass_outputs // parameters.group_channels)
        beats = 1 if header["quad_input"] else parameters.group_channels // 4
        words = header["input_height"] * header["input_width"] * header["input_blocks"]
        self._source = InputTiming(words, beats, self._core.window_reads)
        self._runs: list[list[LayerTimes]] = []

    def image(self) -> list[LayerTimes]:
        """The times of the next image's layers; the first image's input is there in cycle 1."""
        begun, written = 0, 1
        if self._runs:
            free = self._runs[-2][-1].done + END_TO_INPUT if len(self._runs) > 1 else 0
            begun, written = self._source.image(free)
        entry = written + WRITE_TO_START
        self._runs.append([self._core.layer(shape, None if i else entry) for i, shape in enumerate(self._shapes)])
        self.input_cycles = written - begun + 1
        return self._runs[-1]


def layer_shape(program: HasWords, layers: list[dict[str, int]], index: int, name: str) -> LayerShape:
    """What a layer's descriptor fields and bitmaps, and the layer before, mean for its timing; ``name`` is told."""
    parameters, fields = program.parameters, layers[index]
    written = layers[index - 1]["output_base"] if index else None
    pass_words = parameters.pass_outputs // parameters.group_channels

    def follows(kind: str) -> bool:
        return not fields[f"{kind}_is_image"] and fields[f"{kind}_base"] == written

    factor = 1 + fields["stride_2"]
    residual_factor = 1 + fields["residual_stride_2"]
    return LayerShape(
        words=_tile_words(program, fields, pass_words),
        passes=fields["passes"],
        tiles_y=fields["tiles_y"],
        tiles_x=fields["tiles_x"],
        load_steps=_load_steps(parameters, fields),
        buffer_blocks=1 << fields["buffer_log2"],
        quads=parameters.group_channels // 4,
        end_delay=STEP_TO_SUMS + parameters.pes.bit_length() - 1 if fields["pool_outputs"] else STEP_TO_TILE,
        writes=not fields["logits"],
        input_rows=(factor, 1 if fields["pointwise"] and factor == 1 else 2) if follows("input") else None,
        residual_rows=(residual_factor, residual_factor) if follows("residual") else None,
        quad_reads=_quad_reads(parameters, fields, pass_words) if fields["residual"] else (),
        waits_for_end=kind_of(fields, name).waits_for_end,
    )


def _load_steps(parameters: AcceleratorParameters, fields: dict[str, int]) -> tuple[tuple[int, int, int, int], ...]:
    """Steps of every channel group's windows: inner tiles, last column of tiles, last row, last of both."""
    rows, columns = parameters.tile_rows, parameters.tile_columns
    if not fields["pointwise"]:
        steps = 6 * max(3, rows) if fields["stride_2"] else 2 * (-(-(rows + 2) // rows))
        return ((steps,) * 4,) * fields["groups"]
    last_rows = (fields["output_height"] - 1) % rows + 1
    last_columns = (fields["output_width"] - 1) % columns + 1
    taps = [min(TAPS, fields["input_blocks"] - TAPS * group) for group in range(fields["groups"])]
    pixels = (rows * columns, rows * last_columns, last_rows * columns, last_rows * last_columns)
    return tuple(tuple(count * each for each in pixels) for count in taps)  # type: ignore[misc]


def _tile_words(program: HasWords, fields: dict[str, int], pass_words: int) -> tuple[Word, ...]:
    """Bitmap words of a tile, in the order in which the scanner walks them."""
    lanes = program.parameters.group_channels
    address = fields["bitmap_base"]
    words = []
    for index in range(fields["passes"]):
        blocks = fields["last_words"] if index + 1 == fields["passes"] else pass_words
        count = fields["groups"] * fields["planes"] * blocks
        active = program.images["bitmaps"][address : address + count] & np.uint64((1 << lanes) - 1)
        address += count
        for place, bits in enumerate(active.tolist()):
            group, in_group = divmod(place, fields["planes"] * blocks)
            words.append(
                Word(
                    active=int(bits).bit_count(),
                    group=group,
                    starts_group=in_group == 0,
                    starts_pass=place == 0,
                    ends_pass=place + 1 == count,
                    index=index,
                    blocks=blocks,
                )
            )
    return tuple(words)


def _quad_reads(
    parameters: AcceleratorParameters, fields: dict[str, int], pass_words: int
) -> tuple[tuple[int, ...], ...]:
    """By pass and quad: reads of the feature map; none for zero channels, nor while the last word read still serves."""
    quads = parameters.group_channels // 4
    strided = (4 if parameters.tile_rows > 1 else 2) if fields["residual_stride_2"] else 0
    half = quads // 2 if fields["residual_half"] else 0
    reads = []
    for index in range(fields["passes"]):
        blocks = fields["last_words"] if index + 1 == fields["passes"] else pass_words
        of_pass = []
        for quad in range(index * pass_words * quads, (index * pass_words + blocks) * quads):
            word, lane = divmod(quad - half, quads)
            there = 0 <= word - fields["residual_offset"] < fields["residual_blocks"]
            of_pass.append((strided or int(lane == 0)) * there)
        reads.append(tuple(of_pass))
    return tuple(reads)
