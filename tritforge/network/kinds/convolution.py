"""Convolutions of 3x3 and 1x1, ternary and multi-bit, and the fully connected layer as one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import (
    ACCUMULATOR_BITS,
    BIAS_BITS,
    LOGIT_BITS,
    RESIDUAL_BITS,
    affine,
    convolve,
    output_size,
    requantise,
)
from tritforge.network.document import LayerReader
from tritforge.network.layer import INPUT, Frame, InputSpec, Layer, Maps, Shape, signed_fit
from tritforge.network.pe_groups import channels_per_group, group_weights, nonzero_groups, ungroup_weights
from tritforge.network.stored_trits import stored_trit_count, trits_of_weights, weights_of_trits
from tritforge.network.trit_packing import (
    TRITS_PER_BYTE,
    pack_bitmap,
    pack_trits,
    packed_length,
    unpack_bitmap,
    unpack_trits,
)

TERNARY_BITS = 2
MAX_WEIGHT_BITS = 9


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """A ``K x K`` convolution (K = 1 or 3, padding ``K // 2``), its affine integers, and an optional residual.

    ``weights`` are ``(N, C, K, K)`` int16: trits when ``weight_bits`` is 2, else signed integers of that width.
    ``stored`` is the bitmap ``(N, G)`` of groups that own a slot; ``active`` holds one or more bitmaps, each a subset
    of ``stored``, of groups that are issued. Both are None for multi-bit layers, whose groups follow from the weights.
    A fully connected layer is a 1x1 convolution over a 1x1 map; with ``logits`` its result is ``M * acc + B``.
    """

    kind = "convolution"

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

    def check(self, group_channels: int) -> None:
        super().check(group_channels)
        weights = self.weights
        if weights.ndim != 4 or weights.shape[2] != weights.shape[3] or weights.dtype != np.int16 or 0 in weights.shape:
            raise NetworkError(
                f"layer {self.name}: weights are {weights.dtype}{list(weights.shape)}, not int16 (N, C, K, K)"
            )
        channels_per_group(self.kernel, group_channels)
        if self.stride not in (1, 2):
            raise NetworkError(f"layer {self.name}: stride is {self.stride}; allowed are 1 and 2")
        if not TERNARY_BITS <= self.weight_bits <= MAX_WEIGHT_BITS:
            raise NetworkError(
                f"layer {self.name}: weight_bits is {self.weight_bits}; allowed are 2 to {MAX_WEIGHT_BITS}"
            )
        limit = (1 << (self.weight_bits - 1)) - 1
        extreme = max(int(weights.max()), -int(weights.min()))
        if extreme > limit:
            raise NetworkError(f"layer {self.name}: a weight of magnitude {extreme} leaves -{limit} to {limit}")
        if not 0 <= self.residual_multiplier < 1 << RESIDUAL_BITS:
            raise NetworkError(
                f"layer {self.name}: residual multiplier {self.residual_multiplier} leaves 16 unsigned bits"
            )
        if self.logits and (self.residual is not None or self.shift or self.kernel != 1):
            raise NetworkError(f"layer {self.name}: logits take no residual, no shift and a 1x1 kernel")
        self._check_bitmaps(group_channels)

    def _check_bitmaps(self, group_channels: int) -> None:
        if not self.ternary:
            if self.stored is not None or self.active:
                raise NetworkError(
                    f"layer {self.name}: bitmaps belong to ternary layers, this one has {self.weight_bits} bits"
                )
            return
        if self.stored is None or not self.active:
            raise NetworkError(f"layer {self.name}: a ternary layer needs a stored and at least one active bitmap")
        nonzero = nonzero_groups(self.weights, group_channels)
        for label, bitmap in (("stored", self.stored), *(("active", bitmap) for bitmap in self.active)):
            if bitmap.shape != nonzero.shape or bitmap.dtype != np.bool_:
                raise NetworkError(
                    f"layer {self.name}: the {label} bitmap is {list(bitmap.shape)}, not {list(nonzero.shape)}"
                )
            if np.any(bitmap & ~self.stored):
                raise NetworkError(f"layer {self.name}: an {label} group is not stored")
        if np.any(nonzero & ~self.stored):
            raise NetworkError(f"layer {self.name}: a group that is not stored holds a non-zero trit")

    def shape(self, shapes: Mapping[str, Shape]) -> Shape:
        channels, height, width = shapes[self.input]
        if self.inputs != channels:
            raise NetworkError(
                f"layer {self.name}: weights take {self.inputs} channels, its input {self.input} has {channels}"
            )
        shape = (self.outputs, output_size(height, self.stride), output_size(width, self.stride))
        if self.residual is not None:
            residual_stride(self, shapes.get(self.residual), shape)
        return shape

    def check_ranges(self, frame: Frame) -> None:
        if self.logits and frame.shapes[self.input][1:] != (1, 1):
            raise NetworkError(
                f"layer {self.name}: logits need a 1x1 map, {self.input} is {frame.shapes[self.input][1:]}"
            )
        bits = frame.input.bits if self.input == INPUT else frame.activation_bits
        sums = np.abs(self.weights).sum(axis=(1, 2, 3), dtype=np.int64)
        sums *= (1 << bits) - 1
        if int(sums.max()) >= 1 << (ACCUMULATOR_BITS - 1):
            raise NetworkError(
                f"layer {self.name}: sums up to {int(sums.max())} leave {ACCUMULATOR_BITS} accumulator bits"
            )
        if not signed_fit(uncentred_bias(self, frame.input), BIAS_BITS):
            raise NetworkError(
                f"layer {self.name}: the input's zero points take the bias out of {BIAS_BITS} signed bits"
            )
        if self.logits:
            sums *= np.abs(self.multiplier)  # no overflow: sums have 31 bits, M has 16 and B has 48
            sums += np.abs(self.bias)
            bound = int(sums.max())
            if bound >= 1 << (LOGIT_BITS - 1):
                raise NetworkError(f"layer {self.name}: logits up to {bound} leave {LOGIT_BITS} bits")

    def structure(self) -> dict[str, Any]:
        return super().structure() | {
            "outputs": self.outputs,
            "inputs": self.inputs,
            "kernel": self.kernel,
            "stride": int(self.stride),
            "weight_bits": int(self.weight_bits),
            "residual": self.residual,
            "residual_multiplier": int(self.residual_multiplier),
            "logits": bool(self.logits),
            "active": len(self.active),
        }

    def digest_arrays(self) -> Iterator[NDArray[Any]]:
        yield self.weights.astype("<i2", copy=False)
        yield from super().digest_arrays()
        if self.stored is not None:
            for bitmap in (self.stored, *self.active):
                yield bitmap.view(np.uint8)

    def frozen_arrays(self) -> dict[str, NDArray[Any]]:
        if self.stored is None:
            return {"multi-bit weights": self.weights}
        return {"stored bitmaps": self.stored, "active bitmaps": np.array(self.active)}

    def tensors(self, group_channels: int) -> dict[str, NDArray[Any]]:
        tensors = super().tensors(group_channels)
        if self.stored is None:
            return tensors | {"weights": self.weights.astype("<i2")}
        trits = trits_of_weights(self.weights, self.stored, group_channels)
        tensors |= {"trits": pack_trits(trits), "stored": pack_bitmap(self.stored)}
        return tensors | {f"active{index}": pack_bitmap(bitmap) for index, bitmap in enumerate(self.active)}

    @classmethod
    def read(cls, reader: LayerReader) -> Convolution:
        record = reader.record
        name, outputs, inputs = record.text("name"), record.integer("outputs", 1), record.integer("inputs", 1)
        kernel = record.take("kernel", "1 or 3", lambda x: type(x) is int and x in (1, 3))
        weight_bits, active_count = record.integer("weight_bits"), record.integer("active", 0, 255)
        groups = -(-inputs // channels_per_group(kernel, reader.group_channels))
        reader.budget.claim(record, outputs * max(inputs * kernel * kernel, groups * (1 + active_count)))
        stored: NDArray[np.bool_] | None = None
        active: list[NDArray[np.bool_]] = []
        if active_count:
            shape = (outputs, groups)
            stored, *active = (
                reader.unpacked(
                    tensor,
                    unpack_bitmap,
                    reader.fetch(tensor, "U8", (packed_length(shape[0] * shape[1], 8),)),
                    shape,
                )
                for tensor in (f"{name}.stored", *(f"{name}.active{index}" for index in range(active_count)))
            )
            count = stored_trit_count(stored, inputs, kernel, reader.group_channels)
            packed = reader.fetch(f"{name}.trits", "U8", (packed_length(count, TRITS_PER_BYTE),))
            trits = reader.unpacked(f"{name}.trits", unpack_trits, packed, count)
            weights = weights_of_trits(trits, stored, inputs, kernel, reader.group_channels)
        else:
            weights = reader.fetch(f"{name}.weights", "I16", (outputs, inputs, kernel, kernel)).astype(
                np.int16, copy=False
            )
        multiplier, bias = reader.affine(name, outputs)
        return cls(
            name=name,
            input=record.text("input"),
            weights=weights,
            weight_bits=weight_bits,
            stride=record.integer("stride"),
            multiplier=multiplier,
            bias=bias,
            shift=record.integer("shift"),
            residual=record.take("residual", "a string or null", lambda x: x is None or isinstance(x, str)),
            residual_multiplier=record.integer("residual_multiplier"),
            logits=record.take("logits", "true or false", lambda x: isinstance(x, bool)),
            stored=stored,
            active=tuple(active),
        )

    def run(self, frame: Frame, maps: Maps, active: int) -> NDArray[np.int64]:
        source = maps[self.input]
        if self.input == INPUT:
            source = source - np.reshape(np.asarray(frame.input.zero_point, dtype=np.int64), (1, -1, 1, 1))
        accumulator = convolve(source, active_weights(self, frame.group_channels, active), self.stride)
        if self.logits:
            return affine(accumulator, self.multiplier, self.bias)
        residual = None
        if self.residual is not None:
            residual = shortcut(self, maps[self.residual], accumulator.shape[1:])
        bits = frame.activation_bits
        return requantise(accumulator, self.multiplier, self.bias, self.shift, bits, residual, self.residual_multiplier)


def residual_stride(layer: Convolution, source: Shape | None, shape: Shape) -> tuple[int, int]:
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


def shortcut(layer: Convolution, source: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Option-A residual: every second pixel, ``(C_out - C_in) / 2`` zero channels on each side."""
    stride, zeros = residual_stride(layer, source.shape[1:], shape)  # type: ignore[arg-type]
    return np.pad(source[:, :, ::stride, ::stride], ((0, 0), (zeros, zeros), (0, 0), (0, 0)))


def uncentred_bias(layer: Convolution, spec: InputSpec) -> NDArray[np.int64]:
    """``B`` for sums over unsigned pixels: a layer over the input has ``M[n] * sum(w * z)`` folded in, ``(N,)``."""
    if layer.input != INPUT:
        return layer.bias
    zero = np.asarray(spec.zero_point, dtype=np.int64)
    centre = np.einsum("nchw,c->n", layer.weights, zero)
    centre *= layer.multiplier
    return np.subtract(layer.bias, centre, out=centre)


def active_weights(layer: Convolution, group_channels: int, active: int = 0) -> NDArray[np.int64]:
    """Weights ``(N, C, K, K)`` with the groups outside the chosen active bitmap set to zero."""
    if not layer.ternary:
        return layer.weights.astype(np.int64)
    if not 0 <= active < len(layer.active):
        raise NetworkError(f"active bitmap {active} is asked for; the network has {len(layer.active)}, counted from 0")
    groups = group_weights(layer.weights, group_channels) * layer.active[active][:, :, None, None]
    return ungroup_weights(groups, layer.inputs, layer.kernel).astype(np.int64)
