"""What the accelerator makes of a kind of network layer: the interface that lowering asks.

How a descriptor runs, and so what the models of cycles and energy ask, is said by the descriptor's own kind
(:mod:`tritforge.overlay.descriptor`); a kind of layer chooses one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tritforge.network.layer import Layer
from tritforge.network.network import Network
from tritforge.overlay.parameters import AcceleratorParameters

AnyLayer = TypeVar("AnyLayer", bound=Layer)


@dataclass(frozen=True, eq=False)
class Sums:
    """Bounds of a layer's arithmetic over unsigned activations, for any input.

    Attributes:
        lowest, highest: ends of the accumulators, by output channel.
        bias: ``B`` over unsigned activations: with zero points folded in.
        residual: the largest that is added for a residual.
    """

    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    bias: NDArray[np.int64]
    residual: int = 0


@dataclass(frozen=True)
class Site:
    """Where a layer is lowered.

    Attributes:
        network: the network around it.
        parameters: the accelerator.
        bases: first bank word of every map, by name.
        active: which active bitmap runs.
        every_group: store and issue every group, zero ones too.
    """

    network: Network
    parameters: AcceleratorParameters
    bases: Mapping[str, int]
    active: int
    every_group: bool


@dataclass(frozen=True, eq=False)
class LoweredLayer:
    """A layer's part of the program.

    Attributes:
        fields: of its descriptor, less those of its results and of its places in the memories, which every layer has.
        bitmaps: its bitmap words.
        slots: its group slots.
    """

    fields: dict[str, int]
    bitmaps: list[int]
    slots: list[NDArray[np.uint64]] = field(default_factory=list)


class OverlayKind(ABC, Generic[AnyLayer]):
    """How layers of one kind are lowered.

    Attributes:
        takes_sums: it reads no map but the sums that the drain of the layer before gathers on the way.
    """

    takes_sums: ClassVar[bool] = False

    @abstractmethod
    def check(
        self, layer: AnyLayer, previous: Layer | None, network: Network, parameters: AcceleratorParameters
    ) -> None:
        """Refuse a layer that the accelerator cannot run, however deep its memories are.

        Raises:
            CapacityError: the sentence names the layer and what it may not have.
        """

    @abstractmethod
    def sums(self, layer: AnyLayer, network: Network) -> Sums:
        """Bounds of its arithmetic."""

    @abstractmethod
    def lower(self, layer: AnyLayer, site: Site) -> LoweredLayer:
        """Its part of the program; raises CapacityError as :meth:`check` does."""
