"""What a node of a topology is, whatever its kind: how it is trained and what becomes of it in the integer network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tritforge.compress.layers.activations import ActivationQuantiser
from tritforge.errors import NetworkError
from tritforge.network.arithmetic import fold_affine
from tritforge.network.layer import Layer

FLOAT_BITS = 32
"""``activation_bits`` of maps that are not quantised."""

Bitmaps = Mapping[str, NDArray[np.bool_]]
"""Stored bitmaps ``(N, G)`` by layer."""
Size = tuple[int, int]
"""Rows and columns of a map."""


@dataclass(frozen=True)
class ModelSettings:
    """What the modules of a model have in common; see :class:`tritforge.compress.models.model.Model`.

    Attributes:
        precision: ``ternary``, or ``float`` for the full-precision twin.
        activation_bits: ``A`` of every map, or ``FLOAT_BITS``.
        ternary_layer: class of grouped convolutions.
        end_layers: weights of the first and last layer, ``integer``, ``ternary`` or ``float``.
        end_layer_bits: width of integer ones.
        fused: train by compiled passes where a stage can.
    """

    precision: str
    activation_bits: int
    ternary_layer: type[nn.Module]
    end_layers: str
    end_layer_bits: int
    fused: bool

    def quantiser(self, real: nn.Module) -> nn.Module:
        """What makes a stage's map of ``A`` bits, or ``real`` where maps are not quantised."""
        return real if self.activation_bits == FLOAT_BITS else ActivationQuantiser(self.activation_bits)


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine integers of a layer: ``M``, ``B``, ``R`` and ``S``."""

    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    residual: int
    shift: int

    @classmethod
    def folded(
        cls, layer: str, scale: NDArray[np.float64], offset: NDArray[np.float64], residual: float = 0.0
    ) -> Affine:
        """The integers for steps of the output; see :func:`tritforge.network.arithmetic.fold_affine`."""
        return cls(*fold_affine(scale, offset, residual, layer=layer))

    @classmethod
    def idle(cls, channels: int, residual: bool = False) -> Affine:
        """Integers that change nothing, for a network of which only the structure is asked."""
        one = np.ones(channels, dtype=np.int64)
        return cls(one, 0 * one, int(residual), 0)


@dataclass(frozen=True)
class ExportSite:
    """Where a node is exported.

    Attributes:
        steps: real value of one step of every map that is given so far, by name.
        sizes: their rows and columns.
        group_channels: ``C_g``.
        stored: stored bitmaps to keep; None for exactly the non-zero groups.
    """

    steps: dict[str, float]
    sizes: dict[str, Size]
    group_channels: int
    stored: Bitmaps | None


class Node(ABC):
    """A node. Kinds are frozen dataclasses that have at least these fields.

    Attributes:
        kind: name of the kind.
        exported: the kind of layer that it becomes in the integer network; None for what can only be trained.
        name: of the node and of the map it gives.
        input: the map it reads.
        inputs: channels of that map.
        stride: steps in pixels.
        residual: a second map that it reads, or None.
    """

    kind: ClassVar[str]
    exported: ClassVar[str | None] = None
    name: str
    input: str
    inputs: int
    stride: int = 1
    residual: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The maps that its stage takes, in order."""
        return (self.input,) if self.residual is None else (self.input, self.residual)

    def why_not_integer(self) -> str | None:
        """What of it the integer network cannot express, as a clause; None where it can express it."""
        return None

    @abstractmethod
    def module(self, settings: ModelSettings) -> nn.Module:
        """Its module, freshly drawn from torch's global generator."""

    def size(self, size: Size) -> Size:
        """Rows and columns of its map from those of its input."""
        return 1, 1

    def export(self, stage: nn.Module, site: ExportSite) -> Layer:
        """Its layer of the integer network, from its trained stage.

        Raises:
            NetworkError: values that the integer arithmetic cannot hold, or a kind that is only trained.
        """
        raise NetworkError(f"layer {self.name}: a node of kind {self.kind} has no layer in the integer network")

    def skeleton(self, stage: nn.Module, stored: NDArray[np.bool_] | None) -> Layer:
        """The layer with the groups of a bitmap, of which only the structure counts: trits and affine are idle.

        Cycles depend on bitmaps and on the bit planes of multi-bit weights alone.
        """
        raise NetworkError(f"layer {self.name}: a node of kind {self.kind} has no layer in the integer network")


def map_step(stage: nn.Module) -> float:
    """Real value of one level of the map that a stage gives."""
    return float(stage.activation.scale)  # type: ignore[union-attr, arg-type]
