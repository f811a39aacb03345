"""What a layer of the integer network is, whatever its kind, and the input that the first layers read.

A kind of layer is one class in :mod:`tritforge.network.kinds`. The class says everything that the contract knows of the
kind: fields, rules, shape, its part of the digest and of the network file, and every bit of the map it gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.arithmetic import BIAS_BITS, MAX_SHIFT, MULTIPLIER_BITS
from tritforge.network.document import LayerReader

INPUT = "input"

AnyLayer = TypeVar("AnyLayer", bound="Layer")
Shape = tuple[int, int, int]
"""``(channels, height, width)`` of a map."""
Maps = dict[str, NDArray[np.int64]]
"""Maps ``(batch, channels, height, width)`` by name."""


@dataclass(frozen=True)
class InputSpec:
    """The image: ``(channels, height, width)`` unsigned pixels of ``bits`` bits, and the pixel that means zero."""

    channels: int
    height: int
    width: int
    bits: int
    zero_point: tuple[int, ...]


class Frame(Protocol):
    """What a layer sees of the network around it."""

    @property
    def input(self) -> InputSpec: ...

    @property
    def activation_bits(self) -> int: ...

    @property
    def group_channels(self) -> int: ...

    @property
    def shapes(self) -> Mapping[str, Shape]: ...


def signed_fit(values: NDArray[np.int64], bits: int) -> bool:
    """Whether all ``values`` are signed integers of so many bits."""
    limit = 1 << (bits - 1)
    return -limit <= int(values.min()) and int(values.max()) < limit


class Layer(ABC):
    """A layer. Kinds are frozen dataclasses that have at least these fields.

    Attributes:
        kind: name of the kind, ``type`` in digests and files.
        name: of the layer and of the map it gives.
        input: the map it reads.
        multiplier, bias: ``M`` and ``B`` of every output channel, ``(N,)``; what a patch may change.
        shift: ``S``.
        residual: a second map, added before the requantisation, or None.
        logits: the results leave as logits, neither shifted nor clamped.
    """

    kind: ClassVar[str]
    name: str
    input: str
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: int
    residual: str | None = None
    logits: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The maps it reads, its input first."""
        return (self.input,) if self.residual is None else (self.input, self.residual)

    @property
    def unsigned_sources(self) -> tuple[str, ...]:
        """Those of its maps whose zero points it does not take off: over the input they have to be 0."""
        return self.sources[1:]

    def check(self, group_channels: int) -> None:
        """Check every rule that concerns the layer alone; raises NetworkError naming layer and field."""
        for label, values, bits in (("multiplier", self.multiplier, MULTIPLIER_BITS), ("bias", self.bias, BIAS_BITS)):
            if values.dtype != np.int64 or values.ndim != 1:
                raise NetworkError(
                    f"layer {self.name}: {label} is {values.dtype}{list(values.shape)}, not one row of int64"
                )
            if values.size and not signed_fit(values, bits):
                raise NetworkError(f"layer {self.name}: {label} leaves {bits} signed bits")
        if not 0 <= self.shift <= MAX_SHIFT:
            raise NetworkError(f"layer {self.name}: shift is {self.shift}; allowed are 0 to {MAX_SHIFT}")

    @abstractmethod
    def shape(self, shapes: Mapping[str, Shape]) -> Shape:
        """Shape of its map from those of earlier maps; raises NetworkError where they do not fit the layer."""

    def check_ranges(self, frame: Frame) -> None:
        """Check what depends on the maps it reads, such as the range of sums; raises NetworkError."""
        return

    def structure(self) -> dict[str, Any]:
        """All of it that is no array, as plain JSON values: what a patch cannot change."""
        return {"type": self.kind, "name": self.name, "input": self.input, "shift": int(self.shift)}

    def digest_arrays(self) -> Iterator[NDArray[Any]]:
        """Its arrays in the order and width in which the network digest takes them."""
        yield self.multiplier.astype("<i8", copy=False)
        yield self.bias.astype("<i8", copy=False)

    def frozen_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that a patch cannot change, by the words that name them in a sentence."""
        return {}

    def tensors(self, group_channels: int) -> dict[str, NDArray[Any]]:
        """Its tensors in a network file, by field."""
        return {"multiplier": self.multiplier.astype("<i2"), "bias": self.bias.astype("<i8")}

    @classmethod
    @abstractmethod
    def read(cls, reader: LayerReader) -> Layer:
        """The layer of a network file's record and tensors: inverse of :meth:`structure` and :meth:`tensors`."""

    @abstractmethod
    def run(self, frame: Frame, maps: Maps, active: int) -> NDArray[np.int64]:
        """Its map from the maps it reads: the reference of every bit.

        Args:
            frame: the network.
            maps: unsigned activations by name.
            active: which active bitmap decides the groups that count.
        """

    def with_affine(self: AnyLayer, multiplier: NDArray[np.int64], bias: NDArray[np.int64]) -> AnyLayer:
        """The layer with other ``M`` and ``B``."""
        return replace(self, multiplier=multiplier, bias=bias)  # type: ignore[type-var]
