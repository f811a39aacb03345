"""What the accelerator makes of a move: a ternary 3x3 convolution, each of its filters a single +1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from kind_demonstration.move_layer import Move

from tritforge.network.kinds.convolution import TERNARY_BITS, Convolution
from tritforge.network.layer import Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups
from tritforge.overlay.kinds.convolution import ConvolutionKind
from tritforge.overlay.kinds.kind import LoweredLayer, OverlayKind, Site, Sums
from tritforge.overlay.parameters import AcceleratorParameters

CONVOLUTIONS = ConvolutionKind()


class MoveKind(OverlayKind[Move]):
    """Everything that is asked of a move is asked of the convolution that does the same."""

    def check(self, layer: Move, previous: Layer | None, network: Network, parameters: AcceleratorParameters) -> None:
        CONVOLUTIONS.check(as_convolution(layer, network), previous, network, parameters)

    def sums(self, layer: Move, network: Network) -> Sums:
        return CONVOLUTIONS.sums(as_convolution(layer, network), network)

    def lower(self, layer: Move, site: Site) -> LoweredLayer:
        return CONVOLUTIONS.lower(as_convolution(layer, site.network), replace(site, active=0))


def as_convolution(layer: Move, network: Network) -> Convolution:
    """The convolution that gives the same map."""
    channels = np.arange(layer.multiplier.size)
    weights = np.zeros((channels.size, channels.size, 3, 3), dtype=np.int16)
    weights[channels, channels, 1 + layer.moves[:, 0], 1 + layer.moves[:, 1]] = 1
    stored = nonzero_groups(weights, network.group_channels)
    return Convolution(
        name=layer.name,
        input=layer.input,
        weights=weights,
        weight_bits=TERNARY_BITS,
        stride=1,
        multiplier=layer.multiplier,
        bias=layer.bias,
        shift=layer.shift,
        stored=stored,
        active=(stored,),
    )
