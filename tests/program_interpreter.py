"""Executes an overlay program from its memory images alone, slowly: what lowering means, without the RTL.

It knows the order of passes, groups, planes and slots, the coding of trit pairs and the affine table; it shares no code
with lowering beyond the descriptor fields.
"""

from __future__ import annotations

import numpy as np

from tritforge.overlay.descriptor import AVERAGE_POOL, CONVOLUTION, FRAME_WORDS, HEADER, LAYER, unpack
from tritforge.overlay.program import OverlayProgram


def run_program(program: OverlayProgram, network_inputs: list[tuple[str, str | None]], image: np.ndarray) -> dict:
    """Maps ``(channels, height, width)`` by layer name, of one image ``(C, H, W)``.

    ``network_inputs`` names each layer's input and residual, since a program knows their addresses alone.
    """
    frames = program.images["descriptors"].reshape(-1, FRAME_WORDS)
    header = unpack(HEADER, frames[0])
    lanes, bits = program.parameters.group_channels, program.parameters.activation_bits
    padded = np.zeros((header["input_blocks"] * lanes, *image.shape[1:]), dtype=np.int64)
    repeats = lanes // 4 if header["quad_input"] else 1
    for repeat in range(repeats):
        padded[4 * repeat : 4 * repeat + image.shape[0]] = image
    maps = {"input": padded}
    for name, (source, residual), frame in zip(program.layer_names, network_inputs, frames[1:], strict=True):
        layer = unpack(LAYER, frame)
        if layer["kind"] == AVERAGE_POOL.code:
            sums = maps[source].sum(axis=(1, 2), keepdims=True)
        else:
            assert layer["kind"] == CONVOLUTION.code
            sums = _convolve(program, layer, maps[source])
        extra = np.zeros_like(sums)
        if residual is not None:
            step = 2 if layer["residual_stride_2"] else 1
            front = layer["residual_offset"] * lanes + layer["residual_half"] * lanes // 2
            taken = maps[residual][:, ::step, ::step]
            extra[front : front + len(taken)] = taken
        maps[name] = _requantise(program, layer, sums, extra, bits)
    return maps


def _convolve(program: OverlayProgram, layer: dict[str, int], source: np.ndarray) -> np.ndarray:
    lanes = program.parameters.group_channels
    pads = np.array([layer[f"pad_{lane % 4}"] for lane in range(len(source))])
    margin = 0 if layer["pointwise"] else 1
    height, width = source.shape[1:]
    framed = np.broadcast_to(pads[:, None, None], (len(source), height + 2, width + 2)).copy()
    framed[:, 1:-1, 1:-1] = source
    stride = 2 if layer["stride_2"] else 1
    shape = (layer["output_height"], layer["output_width"])
    sums = np.zeros((layer["output_blocks"] * lanes, *shape), dtype=np.int64)
    slots = program.images["weights"].reshape(-1, lanes // 2)
    bitmap, slot = layer["bitmap_base"], layer["slot_base"]
    per_pass = program.parameters.pass_outputs // lanes
    for number in range(layer["passes"]):
        words = layer["last_words"] if number == layer["passes"] - 1 else per_pass
        for group in range(layer["groups"]):
            for plane in range(layer["planes"]):
                for word in range(words):
                    content = int(program.images["bitmaps"][bitmap])
                    bitmap += 1
                    for lane in range(lanes):
                        stored, active = content >> (lanes + lane) & 1, content >> lane & 1
                        if active:
                            assert stored
                            window = _windows(framed, layer, group, lanes, stride, shape, margin)
                            partial = _apply(slots[slot], window, layer["quad_shift"])
                            channel = (number * per_pass + word) * lanes + lane
                            sums[channel] += partial << (plane * layer["plane_step"])
                        slot += stored
    return sums


def _windows(framed, layer, group, lanes, stride, shape, margin) -> np.ndarray:
    """``(9, lanes, H, W)``: what each lane of the PE sees for every output pixel."""
    rows, columns = shape
    window = np.zeros((9, lanes, rows, columns), dtype=np.int64)
    for tap in range(9):
        block = 9 * group + tap if layer["pointwise"] else group
        if block >= layer["input_blocks"]:
            continue
        y, x = (1, 1) if layer["pointwise"] else divmod(tap, 3)
        part = framed[block * lanes : (block + 1) * lanes]
        window[tap] = part[:, y : y + stride * rows : stride, x : x + stride * columns : stride][:, :rows, :columns]
    return window


def _apply(words: np.ndarray, window: np.ndarray, quad_shift: int) -> np.ndarray:
    """One group on all windows: pairs (enable 1, enable 2, relative sign, sign) from the lowest bits up."""
    total = np.zeros(window.shape[2:], dtype=np.int64)
    for pair, word in enumerate(words.tolist()):
        weight = 1 << (pair // 2) if quad_shift else 1
        for tap in range(9):
            code = word >> (4 * tap) & 15
            first = window[tap, 2 * pair] if code & 1 else 0
            second = window[tap, 2 * pair + 1] if code & 2 else 0
            term = first - second if code & 4 else first + second
            total += weight * (-term if code & 8 else term)
    return total


def _requantise(program, layer, sums, extra, bits) -> np.ndarray:
    entries = program.images["affine"].reshape(-1, 2)[layer["affine_base"] :]
    result = np.zeros((layer["outputs"], *sums.shape[1:]), dtype=object)
    for channel in range(layer["outputs"]):
        entry = int(entries[channel][0]) | int(entries[channel][1]) << 32
        multiplier, bias = entry >> 48, entry & ((1 << 48) - 1)
        multiplier -= (multiplier >> 15) << 16
        bias -= (bias >> 47) << 48
        half = 1 << (layer["shift"] - 1) if layer["shift"] else 0
        value = multiplier * sums[channel].astype(object) + bias
        if layer["logits"]:
            result[channel] = value
            continue
        value = value + layer["residual_multiplier"] * extra[channel].astype(object) + half
        result[channel] = np.clip(value >> layer["shift"], 0, (1 << bits) - 1)
    return result.astype(np.int64)
