"""Layers computed from the words of the program memories, by their addresses, as the array walks them.

Nothing here knows a network: a layer is its descriptor, the bitmap words, slots and affine entries that lie where the
descriptor points, and the feature banks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tritforge.device.reference.feature_banks import FeatureBanks, MapPlace
from tritforge.device.reference.memories import ProgramMemories
from tritforge.device.streams import BEAT_LANES, Beats, beat_lanes
from tritforge.network.arithmetic import BIAS_BITS, MULTIPLIER_BITS, SUM_BITS, convolve, rounding_offset
from tritforge.network.pe_groups import TAPS
from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, LAYER, kind_of, unpack
from tritforge.overlay.pair_coding import decode_words

Fields = dict[str, int]
Values = NDArray[np.int64]


class Core:
    """Program, feature banks and the sums of the average pool."""

    def __init__(self, memories: ProgramMemories, rng: np.random.Generator) -> None:
        self._memories = memories
        self._parameters = memories.parameters
        self._banks = FeatureBanks(self._parameters, rng)
        self._pool_sums: Values = np.zeros(0, dtype=np.int64)
        self._weights: dict[int, Values] = {}
        self._weights_of = memories.changes

    def header(self) -> Fields:
        """The program header."""
        return unpack(HEADER, self._frame(0))

    def beats_per_image(self) -> int:
        """Beats that carry an image."""
        header = self.header()
        beats = 1 if header["quad_input"] else self._parameters.group_channels // BEAT_LANES
        return header["input_height"] * header["input_width"] * header["input_blocks"] * beats

    def put_image(self, buffer: int, beats: Beats) -> None:
        """Write an image into its buffer; an image of up to four channels is repeated in every quad of lanes."""
        header = self.header()
        lanes = beat_lanes(beats, self._parameters.activation_bits)
        if header["quad_input"]:
            lanes = np.tile(lanes, self._parameters.quads)
        pixels = lanes.reshape(header["input_height"], header["input_width"], -1).transpose(2, 0, 1)
        self._banks.write(_image_place(header, buffer), pixels)

    def layer_fields(self, index: int) -> Fields:
        """Descriptor fields of the layer at ``index``, counted from 0."""
        return unpack(LAYER, self._frame(1 + index))

    def layer(self, index: int, buffer: int) -> Values | None:
        """Compute a layer of the image in ``buffer``; gives the logits of the layer that has them."""
        layer = self.layer_fields(index)
        if kind_of(layer, str(index)).issues_groups:
            sums = self._convolve(index, layer, buffer)[: layer["outputs"]]
        else:
            sums = self._pool_sums[: layer["outputs"], None, None]
        sums = wrapped(sums, self._parameters.accumulator_bits)
        multiplier, bias = self._affine(layer)
        totals = multiplier * sums + bias + rounding_offset(layer["shift"])
        if layer["residual"]:
            totals = totals + layer["residual_multiplier"] * self._residual(layer, buffer)
        totals = wrapped(totals, SUM_BITS)
        if layer["logits"]:
            return totals[:, 0, 0]
        values = np.clip(totals >> layer["shift"], 0, (1 << self._parameters.activation_bits) - 1)
        shape = layer["output_blocks"], layer["output_height"], layer["output_width"]
        self._banks.write(MapPlace(layer["output_base"], layer["output_row_stride"], *shape), values)
        if layer["pool_outputs"]:
            self._pool_sums = values.sum(axis=(1, 2))
        return None

    def _frame(self, index: int) -> NDArray[np.uint64]:
        return self._memories.images["descriptors"].reshape(-1, FRAME_WORDS)[index]

    def _convolve(self, index: int, layer: Fields, buffer: int) -> Values:
        """Sums ``(channels, height, width)`` of a convolution; beside the map each channel lane has its padding."""
        place = MapPlace(
            *(layer[f"input_{field}"] for field in ("base", "row_stride", "blocks", "height", "width")),
        )
        if layer["input_is_image"]:
            place = place._replace(base=_image_base(self.header(), buffer))
        source, weights = self._banks.read(place), self._layer_weights(index, layer)
        pads = np.resize([layer[f"pad_{lane}"] for lane in range(BEAT_LANES)], len(source))
        sums = convolve((source - pads[:, None, None])[None], weights, 1 + layer["stride_2"])[0]
        return sums + (weights.sum(axis=(2, 3)) @ pads)[:, None, None]

    def _layer_weights(self, index: int, layer: Fields) -> Values:
        """Weights of a layer; they are decoded anew when a word has been written since."""
        if self._weights_of != self._memories.changes:
            self._weights, self._weights_of = {}, self._memories.changes
        if index not in self._weights:
            self._weights[index] = self._decode(layer)
        return self._weights[index]

    def _decode(self, layer: Fields) -> Values:
        """Weights ``(channels, inputs, K, K)``: what the groups that are issued add up to.

        Bitmap words come in the order of passes, channel groups, bit planes, blocks; slots are counted from the stored
        bits, and the active bits say which groups are issued.
        """
        lanes = self._parameters.group_channels
        block, group, plane = _walk(layer, self._parameters.pass_outputs // lanes)
        bitmaps = self._memories.images["bitmaps"]
        words = bitmaps[(layer["bitmap_base"] + np.arange(block.size)) % bitmaps.size]
        bits = (words[:, None] >> np.arange(2 * lanes, dtype=np.uint64) & np.uint64(1)).astype(np.int64)
        active, stored = bits[:, :lanes] == 1, bits[:, lanes:]
        slots = layer["slot_base"] + (np.cumsum(stored) - stored.reshape(-1)).reshape(stored.shape)
        memory = self._memories.images["weights"].reshape(-1, lanes // 2)
        scale = 1 << (np.arange(lanes) // BEAT_LANES if layer["quad_shift"] else np.zeros(lanes, dtype=np.int64))
        weights = np.zeros((layer["output_blocks"] * lanes, layer["groups"], TAPS, lanes), dtype=np.int64)
        for number in range(layer["planes"]):
            word, lane = np.nonzero(active & (plane == number)[:, None])
            trits = decode_words(memory[slots[word, lane] % len(memory)])
            weights[block[word] * lanes + lane, group[word]] += trits * scale << number * layer["plane_step"]
        inputs = layer["input_blocks"] * lanes
        if layer["pointwise"]:
            return weights.reshape(len(weights), -1, 1, 1)[:, :inputs]
        return weights.transpose(0, 1, 3, 2).reshape(len(weights), -1, 3, 3)[:, :inputs]

    def _affine(self, layer: Fields) -> tuple[Values, Values]:
        """``M`` and ``B`` of each output channel, ``(channels, 1, 1)``."""
        table = self._memories.images["affine"].reshape(-1, 2)
        low, high = table[(layer["affine_base"] + np.arange(layer["outputs"])) % len(table)].T
        entries = (low | high << np.uint64(32)).astype(np.int64)
        multiplier = wrapped(entries >> BIAS_BITS, MULTIPLIER_BITS)
        return multiplier[:, None, None], wrapped(entries, BIAS_BITS)[:, None, None]

    def _residual(self, layer: Fields, buffer: int) -> Values:
        """The residual ``(channels, height, width)``, with zero channels in front and behind."""
        lanes = self._parameters.group_channels
        base = _image_base(self.header(), buffer) if layer["residual_is_image"] else layer["residual_base"]
        shape = layer["residual_blocks"], layer["output_height"], layer["output_width"]
        step = 1 + layer["residual_stride_2"]
        taken = self._banks.read(MapPlace(base, layer["residual_row_stride"], *shape, step))
        front = layer["residual_offset"] * lanes + layer["residual_half"] * lanes // 2
        values = np.zeros((layer["outputs"], *shape[1:]), dtype=np.int64)
        values[front : front + len(taken)] = taken
        return values


def wrapped(values: Values, bits: int) -> Values:
    """``values`` modulo ``2**bits``, as signed integers."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def _image_base(header: Fields, buffer: int) -> int:
    return header[f"input_base_{buffer}"]


def _image_place(header: Fields, buffer: int) -> MapPlace:
    shape = header["input_blocks"], header["input_height"], header["input_width"]
    return MapPlace(_image_base(header, buffer), header["input_row_stride"], *shape)


def _walk(layer: Fields, pass_words: int) -> tuple[Values, Values, Values]:
    """Output block, channel group and bit plane of each bitmap word of a layer, in the order of the walk."""
    walk = [
        np.stack(np.meshgrid(groups, planes, blocks, indexing="ij"))[[2, 0, 1]].reshape(3, -1)
        for groups, planes, blocks in _passes(layer, pass_words)
    ]
    return tuple(np.concatenate(walk, axis=1))


def _passes(layer: Fields, pass_words: int) -> Iterator[tuple[Values, Values, Values]]:
    """Groups, bit planes and output blocks of each pass."""
    for index in range(layer["passes"]):
        last = index + 1 == layer["passes"]
        blocks = index * pass_words + np.arange(layer["last_words"] if last else pass_words)
        yield np.arange(layer["groups"]), np.arange(layer["planes"]), blocks
