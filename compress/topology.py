"""What a network looks like: the one description that training, export and evaluation read.

A topology is an ordered tuple of nodes, each naming the maps it reads, in the shape that the integer network has:
convolutions with batch norm and an optional option-A residual, one global average pool, one fully connected layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.errors import RecipeError
from tritforge.network import INPUT
from tritforge.pe_groups import channels_per_group


@dataclass(frozen=True)
class ConvNode:
    """A convolution, its batch norm, an optional residual from an earlier map, and one requantisation."""

    name: str
    input: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    ternary: bool = True
    residual: str | None = None


@dataclass(frozen=True)
class PoolNode:
    """Global average pool over ``inputs`` channels, requantised."""

    name: str
    input: str
    inputs: int


@dataclass(frozen=True)
class ClassifierNode:
    """Fully connected layer from a pooled map to one logit a class."""

    name: str
    input: str
    inputs: int
    outputs: int


Node = ConvNode | PoolNode | ClassifierNode


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
        """By name, the last layer of each stage: channels of its map, and image pixels along one of the map's."""
        ends: dict[str, tuple[str, tuple[int, int]]] = {}
        reduction = 1
        for node in self.nodes:
            if isinstance(node, ConvNode):
                reduction *= node.stride
                if node.residual is not None:
                    ends[node.name.partition(".")[0]] = node.name, (node.outputs, reduction)
        return dict(ends.values())


def residual_network(
    name: str,
    image: tuple[int, int, int],
    classes: int,
    stages: tuple[tuple[int, int, int], ...],
    group_channels: int = 16,
) -> Topology:
    """A multi-bit 3x3 stem, basic residual blocks with option-A shortcuts, average pool and classifier.

    Args:
        name: name of the topology.
        image: ``(channels, height, width)``.
        classes: logits.
        stages: ``(width, blocks, stride of the first block)``, in order; the stem has the first width.
        group_channels: ``C_g``, which must divide the input channels of every ternary layer.

    Raises:
        RecipeError: a width that the PE cannot group, or a stage narrower than the one before it.
    """
    width = stages[0][0]
    nodes: list[Node] = [ConvNode("stem", INPUT, image[0], width, ternary=False)]
    for stage, (outputs, blocks, first_stride) in enumerate(stages, start=1):
        if outputs < width or (outputs - width) % 2:
            raise RecipeError(
                f"stage {stage} has {outputs} channels after {width}; an option-A shortcut needs evenly more"
            )
        for block in range(1, blocks + 1):
            stem = f"stage{stage}.block{block}"
            entry, stride = nodes[-1].name, first_stride if block == 1 else 1
            nodes.append(ConvNode(f"{stem}.conv1", entry, width, outputs, stride=stride))
            nodes.append(ConvNode(f"{stem}.conv2", f"{stem}.conv1", outputs, outputs, residual=entry))
            width = outputs
    nodes.append(PoolNode("pool", nodes[-1].name, width))
    nodes.append(ClassifierNode("classifier", "pool", width, classes))
    topology = Topology(name, image, tuple(nodes))
    for node in topology.ternary_nodes():
        per_group = channels_per_group(node.kernel, group_channels)
        if node.inputs % per_group:
            raise RecipeError(
                f"layer {node.name} has {node.inputs} input channels; the PE groups multiples of {per_group}"
            )
    return topology


RESNET_DEPTHS = (20, 32, 44, 56)
TOPOLOGIES = ("residual3", *(f"resnet{depth}" for depth in RESNET_DEPTHS))


def build_topology(
    name: str,
    image: tuple[int, int, int],
    classes: int,
    widths: tuple[int, ...] = (16, 32, 64),
    group_channels: int = 16,
) -> Topology:
    """A topology by name.

    ``residual3`` has one block a width for small images. Only the second block is strided: from 8x8 pixels it leaves
    4x4, and halving once more would leave the widest and most expensive block four pixels to look at.
    ``resnet20``, 32, 44 and 56 are the CIFAR networks of dissertation 2.3.1.1: ``(depth - 2) / 6`` blocks a width.

    Raises:
        RecipeError: an unknown name, or widths that cannot be used.
    """
    if not widths:
        raise RecipeError("widths is empty; at least one width is needed")
    if name == "residual3":
        strides = tuple(2 if stage == 1 else 1 for stage in range(len(widths)))
        stages = tuple((width, 1, stride) for width, stride in zip(widths, strides, strict=True))
    elif name in TOPOLOGIES:
        blocks = (int(name.removeprefix("resnet")) - 2) // 6
        stages = tuple((width, blocks, 1 if stage == 0 else 2) for stage, width in enumerate(widths))
    else:
        raise RecipeError(f"topology is {name!r}; allowed are {', '.join(TOPOLOGIES)}")
    return residual_network(name, image, classes, stages, group_channels)
