"""What a network looks like: the one description that training, export and evaluation read.

A topology is an ordered tuple of nodes, each naming the maps it reads. Networks for small images have the shape that
the integer network has: convolutions with batch norm and an optional option-A residual, one global average pool, one
fully connected layer. Networks for ImageNet also have what can only be trained: kernels above 3x3, max pools,
projections as shortcuts (option B), and fully connected layers over whole maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.node import Node
from tritforge.compress.models.kinds.pool import MaxPoolNode
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT


@dataclass(frozen=True)
class Topology:
    """Nodes in order, for images of ``(channels, height, width)``."""

    name: str
    image: tuple[int, int, int]
    nodes: tuple[Node, ...]

    def ternary_nodes(self) -> tuple[ConvNode, ...]:
        """The grouped layers, in order."""
        return tuple(node for node in self.nodes if isinstance(node, ConvNode) and node.ternary)

    def stage_ends(self) -> dict[str, tuple[int, int]]:
        """By name, the last layer of each stage: channels of its map, and image pixels along one of the map's.

        A stage ends with its last residual, or where a max pool follows.
        """
        ends: dict[int, tuple[str, tuple[int, int]]] = {}
        pooled = {node.input for node in self.nodes if isinstance(node, MaxPoolNode)}
        reduction = {INPUT: 1}
        for node in self.nodes:
            reduction[node.name] = reduction[node.input] * node.stride
            if isinstance(node, ConvNode) and (node.residual is not None or node.name in pooled):
                ends[node.stage] = node.name, (node.outputs, reduction[node.name])
        return dict(ends.values())

    def why_not_integer(self) -> str | None:
        """The first node that the integer network cannot express, as a clause; None where it can express them all."""
        return next((refusal for node in self.nodes if (refusal := node.why_not_integer()) is not None), None)

    def grouped(self, group_channels: int) -> Topology:
        """This topology, if its ternary layers fill whole PE groups; the last group of a 1x1 layer may be ragged.

        Raises:
            RecipeError: a layer that the PE cannot group.
        """
        for node in self.ternary_nodes():
            if node.kernel > 1 and node.inputs % group_channels:
                raise RecipeError(
                    f"layer {node.name} has {node.inputs} input channels; the PE groups multiples of {group_channels}"
                )
        return self
