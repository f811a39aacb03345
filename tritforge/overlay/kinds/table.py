"""The table of the kinds of layers that the accelerator runs."""

from __future__ import annotations

from typing import Any

from tritforge.errors import CapacityError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import Layer
from tritforge.overlay.kinds.average_pool import AveragePoolKind
from tritforge.overlay.kinds.convolution import ConvolutionKind
from tritforge.overlay.kinds.kind import OverlayKind

KINDS: dict[str, OverlayKind[Any]] = {Convolution.kind: ConvolutionKind(), AveragePool.kind: AveragePoolKind()}
"""Every kind of layer that the accelerator runs, by the name of the network's kind."""


def overlay_kind(layer: Layer) -> OverlayKind[Any]:
    """How a layer is lowered; raises CapacityError for a kind that the accelerator does not run."""
    if layer.kind not in KINDS:
        raise CapacityError(
            f"layer {layer.name}: the accelerator runs no layer of kind {layer.kind}; it runs {', '.join(KINDS)}"
        )
    return KINDS[layer.kind]
