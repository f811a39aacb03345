"""The average pool: one tile that drains what the convolution before it left in the pool's sums."""

from __future__ import annotations

import numpy as np

from tritforge.errors import CapacityError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.layer import INPUT, Layer
from tritforge.network.network import Network
from tritforge.overlay.descriptor import AVERAGE_POOL
from tritforge.overlay.kinds.kind import LoweredLayer, OverlayKind, Site, Sums
from tritforge.overlay.map_layout import map_layout
from tritforge.overlay.parameters import AcceleratorParameters


class AveragePoolKind(OverlayKind[AveragePool]):
    """Passes without an active group."""

    takes_sums = True

    def check(
        self, layer: AveragePool, previous: Layer | None, network: Network, parameters: AcceleratorParameters
    ) -> None:
        if previous is None or layer.input != previous.name or isinstance(previous, AveragePool):
            raise CapacityError(f"layer {layer.name}: an average pool reads the convolution just before it")

    def sums(self, layer: AveragePool, network: Network) -> Sums:
        _, height, width = network.shapes[layer.input]
        bits = network.input.bits if layer.input == INPUT else network.activation_bits
        highest = np.full(len(layer.multiplier), ((1 << bits) - 1) * height * width)
        return Sums(np.zeros_like(highest), highest, layer.bias)

    def lower(self, layer: AveragePool, site: Site) -> LoweredLayer:
        words = map_layout(site.parameters, site.network.shapes[layer.name]).blocks
        return LoweredLayer({"kind": AVERAGE_POOL.code, "groups": 1, "planes": 1}, [0] * words)
