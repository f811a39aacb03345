"""The kinds of nodes that a topology is made of, and the table of them."""

from __future__ import annotations

from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.flatten import FlattenNode
from tritforge.compress.models.kinds.node import Node
from tritforge.compress.models.kinds.pool import MaxPoolNode, PoolNode

KINDS: dict[str, type[Node]] = {
    kind.kind: kind for kind in (ConvNode, PoolNode, MaxPoolNode, FlattenNode, ClassifierNode)
}
"""Every kind of node by its name: what a model can be made of."""
