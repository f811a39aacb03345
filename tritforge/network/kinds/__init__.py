"""The kinds of layers of the integer network, and the table of them."""

from __future__ import annotations

from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import Layer

KINDS: dict[str, type[Layer]] = {kind.kind: kind for kind in (Convolution, AveragePool)}
"""Every kind of layer by its name: what a network may hold, and what network files are read with."""
