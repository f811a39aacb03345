"""Energy of an image on the accelerator, modelled from what it does. A model: nothing here was measured on a chip.

Operations and accesses are counted from the overlay program: every figure is tiles times what the descriptors and
bitmaps make the array do in one. They are multiplied by published energies of a 45 nm process at 0.9 V:

* M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014: integer additions 0.03 pJ (8
  bits) and 0.1 pJ (32 bits), multiplications 0.2 pJ (8 bits) and 3.1 pJ (32 bits), 64 bits of an 8 KB memory 10 pJ, of
  DRAM 1.3 nJ at least. Additions in between grow with the width, products with the product of the widths.
* Y.-H. Chen, J. Emer, V. Sze, "Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional Neural
  Networks", ISCA 2016, Table IV: an access of a register file costs a sixth of one of the buffer memory.

An FPGA takes more than such a chip, clock and routing are left out, and the ratios are what the model is for: skipping
against issuing every group, one parameter set against another.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tritforge.network.arithmetic import BIAS_BITS, MULTIPLIER_BITS, RESIDUAL_BITS
from tritforge.network.pe_groups import TAPS
from tritforge.overlay.descriptor import FRAME_WORDS, LAYER, kind_of, unpack
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram

ADD_8, ADD_32 = 0.03, 0.1
"""pJ of an integer addition of 8 and of 32 bits."""
MULTIPLY_BIT = 3.1 / 32**2
"""pJ of a product, by product of its widths; 0.2 pJ for 8 by 8 bits."""
MEMORY_BIT = 10 / 64
"""pJ of a bit read from or written to a memory of 8 KB, the size nearest to a block RAM's 4.5 KB."""
REGISTER_BIT = MEMORY_BIT / 6
"""pJ of a bit of a register or an accumulator."""
DRAM_BIT = 1300 / 64
"""pJ of a bit that comes from or goes to DRAM."""
RESULT_BITS = 64
"""Bits of a beat of the result stream."""


@dataclass(frozen=True)
class Activity:
    """What one image makes the accelerator do.

    Attributes:
        additions: in the adder trees of the PEs, one a lane and issued group, whatever the trit.
        accumulations: sums read, added to and written back, one a PE and issued group.
        window_bits: bits written into window registers.
        products: of the requantisers, ``M * acc``.
        residual_products: ``R * res``.
        weight_bits, bitmap_bits, affine_bits: read from the program memories.
        feature_read_bits: words under the windows, each once a load, and residual words.
        feature_write_bits: results, and the image as it comes in.
        stream_bits: image in, results out: DRAM on both sides.
    """

    additions: int = 0
    accumulations: int = 0
    window_bits: int = 0
    products: int = 0
    residual_products: int = 0
    weight_bits: int = 0
    bitmap_bits: int = 0
    affine_bits: int = 0
    feature_read_bits: int = 0
    feature_write_bits: int = 0
    stream_bits: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Energy:
    """Modelled energy of an image in nJ, by where it goes."""

    adders: float
    accumulators: float
    windows: float
    requantisers: float
    weights: float
    features: float
    streams: float

    @property
    def core(self) -> float:
        """Everything but the streams, nJ."""
        return self.total - self.streams

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))


def activity(program: OverlayProgram) -> Activity:
    """What one image makes the accelerator do, from the program alone."""
    parameters = program.parameters
    frames = [unpack(LAYER, frame) for frame in program.images["descriptors"].reshape(-1, FRAME_WORDS)[1:]]
    channels, height, width = program.input_shape
    beat = 4 * parameters.activation_bits
    image_bits = -(-channels // 4) * height * width * beat
    stored_bits = max(channels, parameters.group_channels) * height * width * parameters.activation_bits
    results = RESULT_BITS * (1 + program.classes)
    total = Activity(feature_write_bits=stored_bits, stream_bits=image_bits + results)
    for name, layer in zip(program.layer_names, frames, strict=True):
        total += _layer_activity(program, layer, kind_of(layer, name).issues_groups)
    return total


def energy(program: OverlayProgram) -> Energy:
    """Modelled energy of an image; see the module for the sources."""
    parameters, done = program.parameters, activity(program)
    bits, sums = parameters.activation_bits, parameters.accumulator_bits
    tree = _addition(bits + 4)  # the lanes' sums grow from the activation's width by 8 bits
    accumulator = _addition(sums) + 2 * sums * REGISTER_BIT
    product = sums * MULTIPLIER_BITS * MULTIPLY_BIT + _addition(BIAS_BITS)
    residual = bits * RESIDUAL_BITS * MULTIPLY_BIT + _addition(BIAS_BITS)
    picojoules = Energy(
        adders=done.additions * tree,
        accumulators=done.accumulations * accumulator,
        windows=done.window_bits * REGISTER_BIT,
        requantisers=done.products * product + done.residual_products * residual + done.affine_bits * MEMORY_BIT,
        weights=(done.weight_bits + done.bitmap_bits) * MEMORY_BIT,
        features=(done.feature_read_bits + done.feature_write_bits) * MEMORY_BIT,
        streams=done.stream_bits * DRAM_BIT,
    )
    return Energy(*(getattr(picojoules, field.name) / 1000 for field in fields(Energy)))


def _addition(bits: int) -> float:
    """pJ of an integer addition."""
    return ADD_8 + (bits - 8) * (ADD_32 - ADD_8) / 24


def _layer_activity(program: OverlayProgram, layer: dict[str, int], issues_groups: bool) -> Activity:
    parameters = program.parameters
    pes, lanes, bits = parameters.pes, parameters.group_channels, parameters.activation_bits
    tiles = layer["tiles_y"] * layer["tiles_x"]
    word = lanes * bits
    words = layer["groups"] * layer["planes"] * layer["output_blocks"]
    first = layer["bitmap_base"]
    active = program.images["bitmaps"][first : first + words] & np.uint64((1 << lanes) - 1)
    issued = sum(int(bitmap).bit_count() for bitmap in active.tolist())
    loads = _loads(layer, parameters, active) if issues_groups else []
    taken = sum(_window_words(layer, parameters, group) for group in loads)
    outputs = layer["output_height"] * layer["output_width"] * layer["outputs"]
    written = 0 if layer["logits"] else tiles * pes * layer["output_blocks"] * word
    residual = layer["residual_blocks"] * layer["output_height"] * layer["output_width"] if layer["residual"] else 0
    return Activity(
        additions=tiles * issued * pes * TAPS * lanes,
        accumulations=tiles * issued * pes,
        window_bits=tiles * len(loads) * pes * TAPS * word,
        products=outputs,
        residual_products=outputs if layer["residual"] else 0,
        weight_bits=tiles * issued * parameters.words_per_slot * 36,
        bitmap_bits=tiles * words * 2 * lanes,
        affine_bits=tiles * layer["outputs"] * (MULTIPLIER_BITS + BIAS_BITS),
        feature_read_bits=(tiles * taken + residual) * word,
        feature_write_bits=written,
    )


def _loads(layer: dict[str, int], parameters: AcceleratorParameters, active: np.ndarray) -> list[int]:
    """Groups along the input channels whose windows a tile loads, pass by pass: those with an active word."""
    pass_words = parameters.pass_outputs // parameters.group_channels
    loads = []
    place = 0
    for index in range(layer["passes"]):
        blocks = layer["last_words"] if index + 1 == layer["passes"] else pass_words
        for group in range(layer["groups"]):
            count = layer["planes"] * blocks
            if active[place : place + count].any():
                loads.append(group)
            place += count
    return loads


def _window_words(layer: dict[str, int], parameters: AcceleratorParameters, group: int) -> int:
    """Feature-map words that the windows of a tile cover, each once."""
    rows, columns = parameters.tile_rows, parameters.tile_columns
    if layer["pointwise"]:
        return rows * columns * min(TAPS, layer["input_blocks"] - TAPS * group)
    if layer["stride_2"]:
        return (2 * rows + 1) * (2 * columns + 1)
    return (rows + 2) * (columns + 2)
