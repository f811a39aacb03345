"""Cycles of a program on the accelerator, predicted without simulating it.

Where the cycles of an image go:

* **Issue.** A pass over a tile issues its active groups, one a cycle: the ideal. A pass without any costs one.
* **Windows.** Reading a channel group's windows takes 6 cycles (one row of PEs) or 4 (more rows) for 3x3 with stride
  1; else one a tap, twice (one row) or four times that with stride 2; and one more in which they are taken. The next
  windows load while groups issue; where those are fewer, the issue waits (``stall_windows``).
* **Drain.** Two output channels of a tile leave a cycle: 8 cycles a block of 16. Where a pass has fewer groups than
  that, or a block waits for its residual, the accumulator buffers run out (``stall_accumulators``).
* **Between layers.** A layer starts when the one before has written its last result: 16 cycles until the first windows
  are there (8 of them ``stall_windows``), 13 through the PEs after the last group, 8 a block for the drain of the last
  pass, 7 and a few for requantising and writing, and 3 in the sequencer: 51 to 76 a layer on ResNet-20 at P = 16.
* **Between images.** One cycle, or the wait for the image input where that is slower.

The recurrences are those of :mod:`tritforge.layer_timing`; nothing in them was fitted to measurements. Times are in
clock cycles throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tritforge.descriptor import FRAME_WORDS, HEADER, LAYER, unpack
from tritforge.layer_timing import STEP_TO_DONE, LayerShape, LayerTiming, Word
from tritforge.pe_groups import TAPS
from tritforge.program import OverlayProgram

DESCRIPTOR_FETCH = 19
"""sequencer: from a layer's begin until the next one's descriptor is there."""
DONE_TO_BEGIN = 2
"""sequencer: from a layer's end to the next one's begin, which is one cycle before its start pulse."""
IMAGE_GAP = 1
"""sequencer: from an image's end to the start of the next, when it is there."""
INPUT_TURN = 3
"""image_input, sequencer: from a buffer's last beat to the image's start, and from its end to the next beat."""


@dataclass(frozen=True)
class LayerPrediction:
    """A layer of one image.

    Attributes:
        name: the layer.
        cycles: what the layer's cycle counter counts, from its start to its end.
        issued: groups issued: tiles times active groups.
        dense: groups that would be issued without skipping: tiles times groups of the layer's shape.
        stall_windows, stall_accumulators: cycles in which a group waited for windows or for an accumulator buffer.
        port_cycles: cycles that keep the image input from the feature maps.
    """

    name: str
    cycles: int
    issued: int
    dense: int
    stall_windows: int
    stall_accumulators: int
    port_cycles: int


@dataclass(frozen=True)
class Prediction:
    """Cycles of one program.

    Attributes:
        layers: every layer of one image, in order.
        latency_cycles: from an image's start to its end, as the LAST_LATENCY counter counts.
        input_cycles: cycles a whole image needs to come in while the array computes, a beat a cycle.
        cycles_per_image: from result to result when images are streamed back to back.
    """

    layers: tuple[LayerPrediction, ...]
    latency_cycles: int
    input_cycles: int
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


def predict(program: OverlayProgram) -> Prediction:
    """Cycles of a program; images are taken to be there, and results to be taken, as fast as the streams go.

    Exact for one image and where the array bounds a row of images. Where their input bounds it, an image of more than
    four channels can take 1 % longer: long reads of a residual hold up its writes.
    """
    frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)
    begin = 0
    done = -DONE_TO_BEGIN
    ready = 0
    layers = []
    for name, frame in zip(program.layer_names, frames[1:], strict=True):
        fields = unpack(LAYER, frame)
        timing = LayerTiming(layer_shape(program, fields))
        begin = max(done + DONE_TO_BEGIN, ready)
        ready = begin + DESCRIPTOR_FETCH
        end = timing.run()
        done = begin + 1 + end
        layers.append(
            LayerPrediction(
                name=name,
                cycles=end - 1,
                issued=timing.issued,
                dense=fields["tiles_y"] * fields["tiles_x"] * fields["skippable_groups"],
                stall_windows=timing.stall_windows,
                stall_accumulators=timing.stall_accumulators,
                port_cycles=timing.port_cycles * (not fields["logits"]),
            )
        )
    latency = done + DONE_TO_BEGIN
    incoming = program.beats_per_image
    if unpack(HEADER, frames[0])["quad_input"]:
        # Every beat is a write, and waits when the port is taken; wider images write every few beats only.
        incoming += sum(layer.port_cycles for layer in layers)
    turn = (incoming + latency + INPUT_TURN) / 2
    return Prediction(tuple(layers), latency, incoming, max(latency + IMAGE_GAP, incoming, turn))


def layer_shape(program: OverlayProgram, fields: dict[str, int]) -> LayerShape:
    """What a layer's descriptor fields and bitmaps mean for its timing."""
    parameters = program.parameters
    pass_words = parameters.pass_outputs // parameters.group_channels
    rows = parameters.tile_rows
    halves = (2 if rows > 1 else 1) * 2
    per_tap = halves if fields["stride_2"] else 1
    if fields["pointwise"]:
        taps = [min(TAPS, fields["input_blocks"] - TAPS * group) for group in range(fields["groups"])]
        steps = [count * per_tap for count in taps]
    elif fields["stride_2"]:
        steps = [TAPS * per_tap] * fields["groups"]
    else:
        steps = [2 * (-(-(rows + 2) // rows))] * fields["groups"]
    return LayerShape(
        words=_tile_words(program, fields, pass_words),
        tiles=fields["tiles_y"] * fields["tiles_x"],
        load_steps=tuple(steps),
        buffers=2 * pass_words >> fields["buffer_log2"],
        pairs=parameters.group_channels // 2,
        residual_reads=_residual_reads(fields, pass_words, halves) if fields["residual"] else None,
        end_delay=STEP_TO_DONE + parameters.pes.bit_length() + 1,
    )


def _tile_words(program: OverlayProgram, fields: dict[str, int], pass_words: int) -> tuple[Word, ...]:
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


def _residual_reads(fields: dict[str, int], pass_words: int, halves: int) -> tuple[tuple[tuple[bool, ...], ...], ...]:
    """By pass and block: one flag a residual step, false where zero channels stand in for the map."""
    per_part = halves if fields["residual_stride_2"] else 1
    reads = []
    for index in range(fields["passes"]):
        blocks = fields["last_words"] if index + 1 == fields["passes"] else pass_words
        of_pass = []
        for block in range(index * pass_words, index * pass_words + blocks):
            first = block - fields["residual_offset"]
            sources = (first - 1, first) if fields["residual_half"] else (first,)
            of_pass.append(tuple(0 <= s < fields["residual_blocks"] for s in sources for _ in range(per_part)))
        reads.append(tuple(of_pass))
    return tuple(reads)
