"""What a network looks like: the one description that training, export and evaluation read.

A topology is an ordered tuple of nodes, each naming the maps it reads. Networks for small images have the shape that
the integer network has: convolutions with batch norm and an optional option-A residual, one global average pool, one
fully connected layer. Networks for ImageNet also have what can only be trained: kernels above 3x3, max pools,
projections as shortcuts (option B), and fully connected layers over whole maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tritforge.errors import RecipeError
from tritforge.network.network import INPUT

Role = Literal["stem", "conv", "conv1", "conv2", "shortcut", "hidden"]


@dataclass(frozen=True)
class ConvNode:
    """A convolution padded to ``ceil(size / stride)`` pixels, its batch norm, an optional residual, one requantisation.

    A layer that is not rectified has no ReLU and no requantisation: the projection of a shortcut.

    Attributes:
        stage: part of the network that the layer belongs to, in order; that of a residual network's stem is 0.
        block: residual block of the stage, from 1; 0 outside of blocks.
        role: what the layer is there: ``stem``, ``conv1``, ``conv2`` or ``shortcut`` in a residual network, else
            ``conv`` or ``hidden``.
    """

    name: str
    input: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    ternary: bool = True
    residual: str | None = None
    rectified: bool = True
    stage: int = 0
    block: int = 0
    role: Role = "conv"


@dataclass(frozen=True)
class PoolNode:
    """Global average pool over ``inputs`` channels, requantised."""

    name: str
    input: str
    inputs: int


@dataclass(frozen=True)
class MaxPoolNode:
    """Largest of 3x3 pixels in steps of two, over ``inputs`` channels; ``padding`` pixels at each edge never win."""

    name: str
    input: str
    inputs: int
    padding: int
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class FlattenNode:
    """Every pixel of every one of ``inputs`` channels as one of ``outputs`` channels of a 1x1 map."""

    name: str
    input: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class ClassifierNode:
    """Fully connected layer from a 1x1 map to one logit a class."""

    name: str
    input: str
    inputs: int
    outputs: int


Node = ConvNode | PoolNode | MaxPoolNode | FlattenNode | ClassifierNode


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
            stride = node.stride if isinstance(node, ConvNode | MaxPoolNode) else 1
            reduction[node.name] = reduction[node.input] * stride
            if isinstance(node, ConvNode) and (node.residual is not None or node.name in pooled):
                ends[node.stage] = node.name, (node.outputs, reduction[node.name])
        return dict(ends.values())

    def why_not_integer(self) -> str | None:
        """The first node that the integer network cannot express, as a clause; None where it can express them all."""
        for node in self.nodes:
            if isinstance(node, MaxPoolNode):
                return f"layer {node.name} is a max pool, which the integer network does not have"
            if isinstance(node, FlattenNode):
                return f"layer {node.name} turns pixels into channels, which the integer network cannot"
            if isinstance(node, ConvNode) and node.kernel not in (1, 3):
                return (
                    f"layer {node.name} has a {node.kernel}x{node.kernel} kernel; the integer network has 1x1 and 3x3"
                )
            if isinstance(node, ConvNode) and node.stride > 2:
                return f"layer {node.name} moves by {node.stride} pixels; the integer network moves by 1 or 2"
            if isinstance(node, ConvNode) and not node.rectified:
                return f"layer {node.name} gives negative values, and maps of the integer network are unsigned"
        return None

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
