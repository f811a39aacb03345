"""The integer network as data: what training exports, and what every back end must equal bit for bit.

A network is an input and an ordered tuple of layers, each naming the maps it reads. The last layer is fully connected
and gives the logits. Maps are unsigned ``A``-bit activations; the input is the unsigned pixel with an integer zero
point per channel, so that a layer that reads the input sees ``pixel - zero_point`` and pads with ``zero_point``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import (
    ACCUMULATOR_BITS,
    BIAS_BITS,
    LOGIT_BITS,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    RESIDUAL_BITS,
)
from tritforge.network.pe_groups import channels_per_group, nonzero_groups

INPUT = "input"
TERNARY_BITS = 2
MAX_WEIGHT_BITS = 9
ACTIVATION_BITS = (8, 16)
MAX_GROUP_CHANNELS = 256


@dataclass(frozen=True)
class InputSpec:
    """The image: ``(channels, height, width)`` unsigned pixels of ``bits`` bits, and the pixel that means zero."""

    channels: int
    height: int
    width: int
    bits: int
    zero_point: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A ``K x K`` convolution (K = 1 or 3, padding ``K // 2``), its affine integers, and an optional residual.

    ``weights`` are ``(N, C, K, K)`` int16: trits when ``weight_bits`` is 2, else signed integers of that width.
    ``stored`` is the bitmap ``(N, G)`` of groups that own a slot; ``active`` holds one or more bitmaps, each a subset
    of ``stored``, of groups that are issued. Both are None for multi-bit layers, whose groups follow from the weights.
    A fully connected layer is a 1x1 convolution over a 1x1 map; with ``logits`` its result is ``M * acc + B``.
    """

    name: str
    input: str
    weights: NDArray[np.int16]
    weight_bits: int
    stride: int
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: int
    residual: str | None = None
    residual_multiplier: int = 0
    logits: bool = False
    stored: NDArray[np.bool_] | None = None
    active: tuple[NDArray[np.bool_], ...] = ()

    @property
    def ternary(self) -> bool:
        return self.weight_bits == TERNARY_BITS

    @property
    def kernel(self) -> int:
        return int(self.weights.shape[2])

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])


@dataclass(frozen=True, eq=False)
class AveragePool:
    """Global average pool: the exact sum over a map, requantised per channel to ``A`` bits on a 1x1 map."""

    name: str
    input: str
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: int


Layer = Convolution | AveragePool


@dataclass(frozen=True, eq=False)
class Network:
    """An integer network; construction checks every rule of the contract and names the field that breaks it.

    ``provenance`` (recipe, seeds, accuracy, revision, ...) travels beside the integers and is not part of the digest.
    """

    input: InputSpec
    layers: tuple[Layer, ...]
    activation_bits: int
    group_channels: int
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_network(self)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """``(channels, height, width)`` of the input and of every layer's map, by name."""
        return map_shapes(self)

    @property
    def classes(self) -> int:
        last = self.layers[-1]
        assert isinstance(last, Convolution)
        return last.outputs

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NetworkError(f"the network has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}")

    def convolutions(self) -> tuple[Convolution, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))

    def ternary_layers(self) -> tuple[Convolution, ...]:
        """The grouped layers, in order: the ones that partial updates and group sparsity are counted over."""
        return tuple(layer for layer in self.convolutions() if layer.ternary)

    def with_layers(self, replacements: dict[str, Layer]) -> Network:
        """A copy in which the named layers are replaced."""
        return replace(self, layers=tuple(replacements.get(layer.name, layer) for layer in self.layers))


def group_sparsity(network: Network) -> float:
    """Fraction of all-zero groups over the ternary layers, counted on trits (``G_s`` of eq. 2.8)."""
    bitmaps = [nonzero_groups(layer.weights, network.group_channels) for layer in network.ternary_layers()]
    total = sum(bitmap.size for bitmap in bitmaps)
    return 1.0 - sum(int(bitmap.sum()) for bitmap in bitmaps) / total if total else 0.0


def compression_rate(sparsity: float, bits: int = TERNARY_BITS) -> float:
    """Dissertation eq. 2.8: ``32 / ((1 - G_s) * n)``; infinite when every group is zero."""
    return 32.0 / ((1.0 - sparsity) * bits) if sparsity < 1.0 else float("inf")


def output_size(size: int, stride: int) -> int:
    """Rows or columns that a convolution with padding ``K // 2`` gives."""
    return (size - 1) // stride + 1


def map_shapes(network: Network) -> dict[str, tuple[int, int, int]]:
    """``(channels, height, width)`` by map name; raises NetworkError where a layer does not fit its inputs."""
    spec = network.input
    shapes = {INPUT: (spec.channels, spec.height, spec.width)}
    for layer in network.layers:
        if layer.name in shapes:
            raise NetworkError(f"layer {layer.name}: the name is used twice; names of maps are unique")
        if layer.input not in shapes:
            raise NetworkError(f"layer {layer.name}: reads {layer.input!r}, which no earlier layer gives")
        channels, height, width = shapes[layer.input]
        if isinstance(layer, AveragePool):
            shapes[layer.name] = (channels, 1, 1)
            continue
        if layer.inputs != channels:
            raise NetworkError(
                f"layer {layer.name}: weights take {layer.inputs} channels, its input {layer.input} has {channels}"
            )
        shape = (layer.outputs, output_size(height, layer.stride), output_size(width, layer.stride))
        if layer.residual is not None:
            residual_stride(layer, shapes.get(layer.residual), shape)
        shapes[layer.name] = shape
    return shapes


def residual_stride(
    layer: Convolution, source: tuple[int, int, int] | None, shape: tuple[int, int, int]
) -> tuple[int, int]:
    """Stride (1 or 2) and zero channels on each side of an option-A residual from ``source`` into ``shape``."""
    if source is None:
        raise NetworkError(f"layer {layer.name}: its residual {layer.residual!r} is no earlier map")
    extra = shape[0] - source[0]
    for stride in (1, 2):
        if (output_size(source[1], stride), output_size(source[2], stride)) == shape[1:] and extra >= 0 == extra % 2:
            return stride, extra // 2
    raise NetworkError(
        f"layer {layer.name}: residual {layer.residual} of shape {source} does not fit {shape} with stride 1 or 2 and "
        "equally many zero channels on each side"
    )


def uncentred_bias(layer: Convolution, spec: InputSpec) -> NDArray[np.int64]:
    """``B`` for sums over unsigned pixels: a layer over the input has ``M[n] * sum(w * z)`` folded in, ``(N,)``."""
    if layer.input != INPUT:
        return layer.bias
    zero = np.asarray(spec.zero_point, dtype=np.int64)
    centre = (layer.weights.astype(np.int64) * zero[None, :, None, None]).sum(axis=(1, 2, 3))
    return layer.bias - layer.multiplier * centre


def _check_network(network: Network) -> None:
    spec = network.input
    if network.activation_bits not in ACTIVATION_BITS:
        raise NetworkError(f"activation_bits is {network.activation_bits}; allowed are 8 and 16")
    if not 1 <= network.group_channels <= MAX_GROUP_CHANNELS:
        raise NetworkError(f"group_channels is {network.group_channels}; allowed are 1 to {MAX_GROUP_CHANNELS}")
    if not 1 <= spec.bits <= network.activation_bits:
        raise NetworkError(f"input.bits is {spec.bits}; allowed are 1 to {network.activation_bits}")
    if min(spec.channels, spec.height, spec.width) < 1:
        raise NetworkError(f"input shape is {spec.channels}x{spec.height}x{spec.width}; every size is at least 1")
    if len(spec.zero_point) != spec.channels or not all(0 <= z < 1 << spec.bits for z in spec.zero_point):
        highest = (1 << spec.bits) - 1
        raise NetworkError(
            f"input.zero_point is {list(spec.zero_point)}; it takes {spec.channels} values from 0 to {highest}"
        )
    if not network.layers:
        raise NetworkError("the network has no layers; at least a fully connected one is needed")
    for layer in network.layers:
        _check_affine(layer)
        if isinstance(layer, Convolution):
            _check_convolution(layer, network.group_channels)
    counts = {len(layer.active) for layer in network.ternary_layers()}
    if len(counts) > 1:
        raise NetworkError(f"ternary layers have {sorted(counts)} active bitmaps; all have equally many")
    shapes = map_shapes(network)
    for layer in network.layers:
        channels = shapes[layer.name][0]
        if layer.multiplier.shape != (channels,) or layer.bias.shape != (channels,):
            raise NetworkError(f"layer {layer.name}: multiplier and bias take {channels} values each")
        is_last = layer is network.layers[-1]
        if is_last != (isinstance(layer, Convolution) and layer.logits):
            raise NetworkError(f"layer {layer.name}: exactly the last layer gives logits")
        if isinstance(layer, Convolution):
            _check_ranges(layer, network, shapes)
        reads_raw = layer.input if isinstance(layer, AveragePool) else layer.residual
        if reads_raw == INPUT and any(spec.zero_point):
            raise NetworkError(f"layer {layer.name}: a pool or residual over the input needs zero points of 0")


def _check_affine(layer: Layer) -> None:
    for label, values, bits in (("multiplier", layer.multiplier, MULTIPLIER_BITS), ("bias", layer.bias, BIAS_BITS)):
        limit = 1 << (bits - 1)
        if values.dtype != np.int64 or values.ndim != 1:
            raise NetworkError(
                f"layer {layer.name}: {label} is {values.dtype}{list(values.shape)}, not one row of int64"
            )
        if values.size and not (-limit <= int(values.min()) and int(values.max()) < limit):
            raise NetworkError(f"layer {layer.name}: {label} leaves {bits} signed bits")
    if not 0 <= layer.shift <= MAX_SHIFT:
        raise NetworkError(f"layer {layer.name}: shift is {layer.shift}; allowed are 0 to {MAX_SHIFT}")


def _check_convolution(layer: Convolution, group_channels: int) -> None:
    weights = layer.weights
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3] or weights.dtype != np.int16 or 0 in weights.shape:
        raise NetworkError(
            f"layer {layer.name}: weights are {weights.dtype}{list(weights.shape)}, not int16 (N, C, K, K)"
        )
    channels_per_group(layer.kernel, group_channels)
    if layer.stride not in (1, 2):
        raise NetworkError(f"layer {layer.name}: stride is {layer.stride}; allowed are 1 and 2")
    if not TERNARY_BITS <= layer.weight_bits <= MAX_WEIGHT_BITS:
        raise NetworkError(
            f"layer {layer.name}: weight_bits is {layer.weight_bits}; allowed are 2 to {MAX_WEIGHT_BITS}"
        )
    limit = (1 << (layer.weight_bits - 1)) - 1
    extreme = max(int(weights.max()), -int(weights.min()))
    if extreme > limit:
        raise NetworkError(f"layer {layer.name}: a weight of magnitude {extreme} leaves -{limit} to {limit}")
    if not 0 <= layer.residual_multiplier < 1 << RESIDUAL_BITS:
        raise NetworkError(
            f"layer {layer.name}: residual multiplier {layer.residual_multiplier} leaves 16 unsigned bits"
        )
    if layer.logits and (layer.residual is not None or layer.shift or layer.kernel != 1):
        raise NetworkError(f"layer {layer.name}: logits take no residual, no shift and a 1x1 kernel")
    nonzero = nonzero_groups(weights, group_channels)
    if not layer.ternary:
        if layer.stored is not None or layer.active:
            raise NetworkError(
                f"layer {layer.name}: bitmaps belong to ternary layers, this one has {layer.weight_bits} bits"
            )
        return
    if layer.stored is None or not layer.active:
        raise NetworkError(f"layer {layer.name}: a ternary layer needs a stored and at least one active bitmap")
    for label, bitmap in (("stored", layer.stored), *(("active", bitmap) for bitmap in layer.active)):
        if bitmap.shape != nonzero.shape or bitmap.dtype != np.bool_:
            raise NetworkError(
                f"layer {layer.name}: the {label} bitmap is {list(bitmap.shape)}, not {list(nonzero.shape)}"
            )
        if np.any(bitmap & ~layer.stored):
            raise NetworkError(f"layer {layer.name}: an {label} group is not stored")
    if np.any(nonzero & ~layer.stored):
        raise NetworkError(f"layer {layer.name}: a group that is not stored holds a non-zero trit")


def _check_ranges(layer: Convolution, network: Network, shapes: dict[str, tuple[int, int, int]]) -> None:
    if layer.logits and shapes[layer.input][1:] != (1, 1):
        raise NetworkError(f"layer {layer.name}: logits need a 1x1 map, {layer.input} is {shapes[layer.input][1:]}")
    bits = network.input.bits if layer.input == INPUT else network.activation_bits
    sums = np.abs(layer.weights.astype(np.int64)).sum(axis=(1, 2, 3)) * ((1 << bits) - 1)
    if int(sums.max()) >= 1 << (ACCUMULATOR_BITS - 1):
        raise NetworkError(
            f"layer {layer.name}: sums up to {int(sums.max())} leave {ACCUMULATOR_BITS} accumulator bits"
        )
    folded, limit = uncentred_bias(layer, network.input), 1 << (BIAS_BITS - 1)
    if int(folded.min()) < -limit or int(folded.max()) >= limit:
        raise NetworkError(f"layer {layer.name}: the input's zero points take the bias out of {BIAS_BITS} signed bits")
    if layer.logits:
        bound = int((np.abs(layer.multiplier).astype(object) * sums.astype(object) + np.abs(layer.bias)).max())
        if bound >= 1 << (LOGIT_BITS - 1):
            raise NetworkError(f"layer {layer.name}: logits up to {bound} leave {LOGIT_BITS} bits")
