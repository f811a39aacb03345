"""Random networks for verification: every shape, stride, sparsity and extreme the accelerator must take.

Networks come from a seeded ``numpy.random.Generator`` and pass every check of
:class:`~tritforge.network.network.Network`. Maps keep what the hardware asks for: up to four input channels or a
multiple of ``C_g``, inner maps a multiple of ``C_g`` channels, and an average pool that reads the map of the layer just
before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import LOGIT_BITS, MAX_SHIFT, MULTIPLIER_BITS, RESIDUAL_BITS, SUM_BITS, output_size
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import TERNARY_BITS, Convolution
from tritforge.network.layer import INPUT, InputSpec, Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import group_weights, nonzero_groups, ungroup_weights

Kind = Literal["conv3x3", "conv3x3_stride2", "conv1x1", "conv1x1_stride2", "residual", "option_a", "stem3x3", "stem1x1"]
KINDS: tuple[Kind, ...] = (
    "conv3x3",
    "conv3x3_stride2",
    "conv1x1",
    "conv1x1_stride2",
    "residual",
    "option_a",
    "stem3x3",
    "stem1x1",
)
"""Layers under test; ``residual`` keeps the shape, ``option_a`` halves the map and adds channels."""

SIZES = ((1, 1), (1, 2), (3, 1), (5, 7), (9, 3), (8, 8), (16, 16), (7, 16), (4, 4), (2, 13))
STEM_CHANNELS = 4
MAX_CHANNELS = 128
BIAS_LIMIT = 1 << (SUM_BITS - 2)
"""Biases leave the other terms of the 48-bit sum as much room as they take."""


def random_network(
    rng: np.random.Generator,
    *,
    activation_bits: int = 8,
    max_size: int = 16,
    max_channels: int = 64,
    blocks: int = 3,
    group_channels: int,
) -> Network:
    """A small network: stem or wide input, ``blocks`` random convolutions and residuals, average pool, logits.

    Args:
        rng: source of every choice.
        activation_bits: ``A``, 8 or 16.
        max_size: largest height and width of the input.
        max_channels: largest channel count of inner maps, a multiple of ``C_g`` up to 128.
        blocks: random layers between the first layer and the pool.
        group_channels: ``C_g``; inner maps have multiples of it.
    """
    builder = _Builder(rng, activation_bits, max_channels, group_channels)
    if rng.random() < 0.6:
        builder.start(int(rng.integers(1, STEM_CHANNELS + 1)), *_size(rng, max_size))
        builder.stem(int(rng.choice([1, 3])))
    else:
        builder.start(builder.channels(), *_size(rng, max_size))
    for _ in range(blocks):
        source = builder.last
        builder.convolution(int(rng.choice([1, 3])), int(rng.choice([1, 1, 2])))
        if rng.random() < 0.6:
            builder.residual_onto(source)
    return builder.finish()


def random_layer_network(
    rng: np.random.Generator,
    kind: Kind,
    *,
    activation_bits: int = 8,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    outputs: int | None = None,
    zero_groups: float | None = None,
    group_channels: int,
) -> Network:
    """A network with one layer under test between the input and the mandatory pool and logits.

    Args:
        rng: source of every choice that is not given.
        kind: the layer under test, one of ``KINDS``; ``residual`` and ``option_a`` add the input to its result.
        activation_bits: ``A``, 8 or 16.
        size: height and width of the input.
        channels: input channels: 1 to 4 for a stem, else a multiple of ``C_g``.
        outputs: output channels, a multiple of ``C_g``; a residual keeps or raises the input's.
        zero_groups: fraction of groups that are all zero, 0 to 1.
        group_channels: ``C_g``; inner maps have multiples of it.

    Raises:
        NetworkError: there are no random layers of this kind.
    """
    if kind not in KINDS:
        raise NetworkError(f"there are no random layers of kind {kind!r}; there are {', '.join(KINDS)}")
    builder = _Builder(rng, activation_bits, 64, group_channels)
    height, width = size or _size(rng, 16)
    if kind.startswith("stem"):
        builder.start(channels or int(rng.integers(1, STEM_CHANNELS + 1)), height, width)
        builder.stem(int(kind[4]), outputs)
        return builder.finish()
    builder.start(channels or builder.channels(), height, width, centred=not kind.startswith(("residual", "option")))
    wide = builder.shape(INPUT)[0]
    if kind == "residual":
        builder.convolution(3, 1, wide, zero_groups, INPUT)
    elif kind == "option_a":
        builder.convolution(3, 2, outputs or wide + group_channels * int(rng.integers(1, 3)), zero_groups, INPUT)
    else:
        kernel, stride = int(kind[4]), 2 if kind.endswith("stride2") else 1
        builder.convolution(kernel, stride, outputs, zero_groups)
    return builder.finish()


def random_images(rng: np.random.Generator, network: Network, count: int) -> NDArray[np.int64]:
    """``(count, channels, height, width)`` pixels: random ones, then all lowest, all highest, checkered extremes."""
    spec = network.input
    highest = (1 << spec.bits) - 1
    images = rng.integers(0, highest + 1, (count, spec.channels, spec.height, spec.width), dtype=np.int64)
    rows, columns = np.indices((spec.height, spec.width))
    extremes = (np.zeros_like(rows), np.full_like(rows, highest), (rows + columns) % 2 * highest)
    for index, image in zip(range(count - 1, 0, -1), extremes, strict=False):
        images[index] = image
    return images


def random_ternary_weights(
    rng: np.random.Generator,
    outputs: int,
    channels: int,
    kernel: int,
    zero_groups: float,
    group_channels: int,
) -> NDArray[np.int16]:
    """Trits ``(outputs, channels, kernel, kernel)`` in which about ``zero_groups`` of the groups are all zero.

    Density changes from group to group, from one non-zero trit to none that is zero; a channel may be left empty.
    """
    weights = rng.choice(np.array([-1, 1], dtype=np.int16), (outputs, channels, kernel, kernel))
    groups = group_weights(weights, group_channels)
    density = rng.choice([0.02, 0.3, 0.7, 1.0], groups.shape[:2])[:, :, None, None]
    keep = rng.random(groups.shape) < density
    keep[~(groups * keep).any(axis=(2, 3))] = True
    keep &= (rng.random(groups.shape[:2]) >= zero_groups)[:, :, None, None]
    if zero_groups > 0:
        keep[rng.random(outputs) < 0.1] = False
    return ungroup_weights(groups * keep, channels, kernel)


def _size(rng: np.random.Generator, largest: int) -> tuple[int, int]:
    fitting = [size for size in SIZES if max(size) <= largest]
    return fitting[int(rng.integers(len(fitting)))]


def random_affine(
    rng: np.random.Generator, centre: NDArray[np.float64], spread: NDArray[np.float64], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """``M``, ``B`` and ``S`` that carry sums around ``centre`` ``(N,)``, ``spread`` wide, to ``bits`` bits.

    Most channels use the output range; some saturate at either end, some have extreme ``M`` or ``B``, or ``M = 0``.
    """
    count, top = spread.size, (1 << bits) - 1
    shift = int(rng.choice([0, 1, 8, 12, 16, int(rng.integers(0, MAX_SHIFT + 1))]))
    gain = top / np.maximum(spread, 1) * rng.choice([0.5, 1.0, 3.0], count) * rng.choice([1, 1, 1, -1], count)
    low, high = -(1 << (MULTIPLIER_BITS - 1)), (1 << (MULTIPLIER_BITS - 1)) - 1
    multiplier = np.clip(np.rint(gain * (1 << shift)), low, high).astype(np.int64)
    multiplier[multiplier == 0] = 1
    least, most = -BIAS_LIMIT, BIAS_LIMIT - 1
    target = rng.uniform(-0.1, 1.1, count) * top * (1 << shift)
    bias = np.clip(np.rint(target - multiplier * centre), least, most).astype(np.int64)
    fate = rng.random(count)
    multiplier[fate < 0.04] = 0
    multiplier[(fate >= 0.04) & (fate < 0.07)] = low
    bias[(fate >= 0.07) & (fate < 0.09)] = least
    bias[(fate >= 0.09) & (fate < 0.11)] = most
    return multiplier, bias, shift


class _Builder:
    """Appends random layers to a growing network, keeping track of the map sizes."""

    def __init__(self, rng: np.random.Generator, activation_bits: int, max_channels: int, group_channels: int) -> None:
        self.rng, self.bits, self.group_channels = rng, activation_bits, group_channels
        self.steps = min(max_channels, MAX_CHANNELS) // group_channels
        self.layers: list[Layer] = []
        self.shapes: dict[str, tuple[int, int, int]] = {}
        self.spec = InputSpec(1, 1, 1, 1, (0,))
        self.last = INPUT

    def channels(self) -> int:
        return self.group_channels * int(self.rng.integers(1, self.steps + 1))

    def shape(self, name: str) -> tuple[int, int, int]:
        return self.shapes[name]

    def start(self, channels: int, height: int, width: int, centred: bool = True) -> None:
        """The input; zero points only for up to four channels that no residual reads."""
        bits = int(self.rng.choice([self.bits, self.bits, 8, 4, 1]))
        zero = (0,) * channels
        if centred and channels <= STEM_CHANNELS:
            zero = tuple(int(z) for z in self.rng.integers(0, 1 << bits, channels))
        self.spec = InputSpec(channels, height, width, bits, zero)
        self.shapes[INPUT] = (channels, height, width)

    def stem(self, kernel: int, outputs: int | None = None) -> None:
        """A multi-bit layer over the input."""
        weight_bits = int(self.rng.integers(2, 10))
        if weight_bits == TERNARY_BITS:
            self.convolution(kernel, 1, outputs)
            return
        limit = (1 << (weight_bits - 1)) - 1
        shape = (outputs or self.channels(), self.spec.channels, kernel, kernel)
        weights = self.rng.integers(-limit, limit + 1, shape).astype(np.int16)
        weights[self.rng.random(shape) < 0.1] = limit
        weights[self.rng.random(shape) < 0.1] = -limit
        self._append(self._convolution(weights, weight_bits, stride=int(self.rng.choice([1, 1, 2]))))

    def convolution(
        self,
        kernel: int,
        stride: int,
        outputs: int | None = None,
        zero_groups: float | None = None,
        residual: str | None = None,
    ) -> None:
        """A ternary layer over the last map, with the map ``residual`` added to its result."""
        if zero_groups is None:
            zero_groups = float(self.rng.choice([0.0, 0.25, 0.5, 0.75, 0.95, 1.0]))
        channels = self.shapes[self.last][0]
        outputs = outputs or self.channels()
        weights = random_ternary_weights(self.rng, outputs, channels, kernel, zero_groups, self.group_channels)
        layer = self._convolution(weights, TERNARY_BITS, stride)
        self._append(layer if residual is None else self._with_residual(layer, residual))

    def residual_onto(self, source: str) -> None:
        """Add ``source`` to the last layer's result when their shapes allow it."""
        last = self.layers[-1]
        assert isinstance(last, Convolution)
        channels, height, width = self.shapes[source]
        extra = self.shapes[last.name][0] - channels
        reduced = (output_size(height, last.stride), output_size(width, last.stride)) == self.shapes[last.name][1:]
        if reduced and extra >= 0 and extra % 2 == 0 and not (source == INPUT and any(self.spec.zero_point)):
            self.layers[-1] = self._with_residual(last, source)

    def finish(self) -> Network:
        """Average pool of the last map and a multi-bit fully connected layer."""
        channels, height, width = self.shapes[self.last]
        bits = self.spec.bits if self.last == INPUT else self.bits
        largest = np.full(channels, height * width * ((1 << bits) - 1), dtype=np.float64)
        multiplier, bias, shift = random_affine(self.rng, largest / 2, largest, self.bits)
        self._append(AveragePool("pool", self.last, multiplier, bias, shift))
        classes, weight_bits = int(self.rng.integers(1, 21)), int(self.rng.integers(3, 10))
        limit = (1 << (weight_bits - 1)) - 1
        weights = self.rng.integers(-limit, limit + 1, (classes, channels, 1, 1)).astype(np.int16)
        layer = self._convolution(weights, weight_bits, 1)
        sums = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)) * ((1 << self.bits) - 1)
        room = (1 << (LOGIT_BITS - 2)) // np.maximum(sums, 1)
        multiplier = np.clip(layer.multiplier, -room, room).astype(np.int64)
        bias = self.rng.integers(-(1 << 40), 1 << 40, classes, dtype=np.int64)
        self._append(replace(layer, name="fc", multiplier=multiplier, bias=bias, shift=0, logits=True))
        return Network(self.spec, tuple(self.layers), self.bits, self.group_channels)

    def _append(self, layer: Layer) -> None:
        self.shapes[layer.name] = layer.shape(self.shapes)
        self.layers.append(layer)
        self.last = layer.name

    def _convolution(self, weights: NDArray[np.int16], weight_bits: int, stride: int) -> Convolution:
        reads_input = self.last == INPUT
        highest = (1 << (self.spec.bits if reads_input else self.bits)) - 1
        zero = np.asarray(self.spec.zero_point, dtype=np.float64) if reads_input else np.float64(0)
        middle = np.reshape(highest / 2 - zero, (1, -1, 1, 1))
        centre = (weights * middle).sum(axis=(1, 2, 3))
        spread = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3))) * highest
        multiplier, bias, shift = random_affine(self.rng, centre, spread, self.bits)
        # The accelerator keeps B with the zero points folded in: both leave it room for the other terms.
        folded = multiplier * np.rint((weights * np.reshape(zero, (1, -1, 1, 1))).sum(axis=(1, 2, 3))).astype(np.int64)
        limit = BIAS_LIMIT
        bias = np.clip(bias, np.maximum(-limit, -limit + folded), np.minimum(limit - 1, limit - 1 + folded))
        stored: NDArray[np.bool_] | None = None
        active: tuple[NDArray[np.bool_], ...] = ()
        if weight_bits == TERNARY_BITS:
            nonzero = nonzero_groups(weights, self.group_channels)
            reserved = self.rng.random(nonzero.shape) < self.rng.choice([0.0, 0.1])
            stored, active = nonzero | reserved, (nonzero,)
        return Convolution(
            name=f"layer{len(self.layers)}",
            input=self.last,
            weights=weights,
            weight_bits=weight_bits,
            stride=stride,
            multiplier=multiplier,
            bias=bias,
            shift=shift,
            stored=stored,
            active=active,
        )

    def _with_residual(self, layer: Convolution, source: str) -> Convolution:
        """``layer`` with the map ``source`` added, at a random weight around one output step a step."""
        unit = min(1 << layer.shift, (1 << RESIDUAL_BITS) - 1)
        weight = int(self.rng.choice([unit, unit // 2, 0, (1 << RESIDUAL_BITS) - 1, int(self.rng.integers(unit + 1))]))
        return replace(layer, residual=source, residual_multiplier=weight)
