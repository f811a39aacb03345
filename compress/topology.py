"""What a network looks like: the one description that training, export and evaluation read.

A topology is an ordered tuple of nodes, each naming the maps it reads. Networks for small images have the shape that
the integer network has: convolutions with batch norm and an optional option-A residual, one global average pool, one
fully connected layer. Networks for ImageNet also have what can only be trained: kernels above 3x3, max pools,
projections as shortcuts (option B), and fully connected layers over whole maps.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.errors import RecipeError
from tritforge.network import INPUT


@dataclass(frozen=True)
class ConvNode:
    """A convolution padded to ``ceil(size / stride)`` pixels, its batch norm, an optional residual, one requantisation.

    A layer that is not rectified has no ReLU and no requantisation: the projection of a shortcut.
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
        ends: dict[str, tuple[str, tuple[int, int]]] = {}
        pooled = {node.input for node in self.nodes if isinstance(node, MaxPoolNode)}
        reduction = {INPUT: 1}
        for node in self.nodes:
            stride = node.stride if isinstance(node, ConvNode | MaxPoolNode) else 1
            reduction[node.name] = reduction[node.input] * stride
            if isinstance(node, ConvNode) and (node.residual is not None or node.name in pooled):
                ends[node.name.partition(".")[0]] = node.name, (node.outputs, reduction[node.name])
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


def residual_network(
    name: str,
    image: tuple[int, int, int],
    classes: int,
    stages: tuple[tuple[int, int, int], ...],
    group_channels: int,
    imagenet: bool = False,
) -> Topology:
    """A 3x3 stem, basic residual blocks with option-A shortcuts, average pool and classifier.

    With ``imagenet`` the stem is 7x7 in steps of two with a max pool after it, and shortcuts that change the shape are
    projections (option B), as He et al., "Deep residual learning for image recognition" (2016), Table 1, have them.

    Args:
        name: name of the topology.
        image: ``(channels, height, width)``.
        classes: logits.
        stages: ``(width, blocks, stride of the first block)``, in order; the stem has the first width.
        group_channels: ``C_g``, which must divide the input channels of every ternary layer.

    Raises:
        RecipeError: a width that the PE cannot group, or with option A a stage narrower than the one before it.
    """
    width = stages[0][0]
    nodes: list[Node] = [ConvNode("stem", INPUT, image[0], width, ternary=False)]
    if imagenet:
        nodes = [
            ConvNode("stem", INPUT, image[0], width, kernel=7, stride=2, ternary=False),
            MaxPoolNode("maxpool", "stem", width, padding=1),
        ]
    for stage, (outputs, blocks, first_stride) in enumerate(stages, start=1):
        if not imagenet and (outputs < width or (outputs - width) % 2):
            raise RecipeError(
                f"stage {stage} has {outputs} channels after {width}; an option-A shortcut needs evenly more"
            )
        for block in range(1, blocks + 1):
            stem = f"stage{stage}.block{block}"
            entry, stride = nodes[-1].name, first_stride if block == 1 else 1
            residual = entry
            if imagenet and (outputs != width or stride != 1):
                residual = f"{stem}.shortcut"
                nodes.append(ConvNode(residual, entry, width, outputs, kernel=1, stride=stride, rectified=False))
            nodes.append(ConvNode(f"{stem}.conv1", entry, width, outputs, stride=stride))
            nodes.append(ConvNode(f"{stem}.conv2", f"{stem}.conv1", outputs, outputs, residual=residual))
            width = outputs
    nodes.append(PoolNode("pool", nodes[-1].name, width))
    nodes.append(ClassifierNode("classifier", "pool", width, classes))
    return _grouped(Topology(name, image, tuple(nodes)), group_channels)


ALEXNET_LAYERS = ((11, 4, True), (5, 1, True), (3, 1, False), (3, 1, False), (3, 1, True))
"""Of each convolution of AlexNet: kernel, stride, and whether a max pool follows."""


def alexnet(image: tuple[int, int, int], classes: int, widths: tuple[int, ...], group_channels: int) -> Topology:
    """AlexNet as one column (Krizhevsky, arXiv 1404.5997) with batch norm instead of dropout.

    Its two hidden fully connected layers are 1x1 convolutions over the 1x1 map that flattening gives.

    Args:
        image: ``(channels, height, width)``.
        classes: logits.
        widths: channels of the five convolutions and of the hidden fully connected layers.
        group_channels: ``C_g``, which must divide the input channels of every ternary convolution.

    Raises:
        RecipeError: not six widths, one that the PE cannot group, or an image of which pooling leaves nothing.
    """
    if len(widths) != len(ALEXNET_LAYERS) + 1:
        raise RecipeError(
            f"widths has {len(widths)} entries; alexnet takes {len(ALEXNET_LAYERS) + 1}, of five convolutions and of "
            "the hidden fully connected layers"
        )
    *convolutions, hidden = widths
    nodes: list[Node] = []
    (channels, *sizes), entry = image, INPUT
    for number, ((kernel, stride, pooled), outputs) in enumerate(zip(ALEXNET_LAYERS, convolutions, strict=True), 1):
        nodes.append(ConvNode(f"conv{number}", entry, channels, outputs, kernel, stride, ternary=number > 1))
        channels, sizes = outputs, [-(-size // stride) for size in sizes]
        if pooled:
            nodes.append(MaxPoolNode(f"pool{number}", nodes[-1].name, channels, padding=0))
            sizes = [(size - 3) // 2 + 1 for size in sizes]
        entry = nodes[-1].name
    if min(sizes) < 1:
        raise RecipeError(f"images of {image[2]}x{image[1]} pixels are too small for alexnet: pooling leaves nothing")
    pixels = channels * sizes[0] * sizes[1]
    nodes.append(FlattenNode("flatten", entry, channels, pixels))
    nodes.append(ConvNode("fc6", "flatten", pixels, hidden, kernel=1))
    nodes.append(ConvNode("fc7", "fc6", hidden, hidden, kernel=1))
    nodes.append(ClassifierNode("classifier", "fc7", hidden, classes))
    return _grouped(Topology("alexnet", image, tuple(nodes)), group_channels)


def _grouped(topology: Topology, group_channels: int) -> Topology:
    """The topology, if its ternary layers fill whole PE groups; the last group of a 1x1 layer may be ragged."""
    for node in topology.ternary_nodes():
        if node.kernel > 1 and node.inputs % group_channels:
            raise RecipeError(
                f"layer {node.name} has {node.inputs} input channels; the PE groups multiples of {group_channels}"
            )
    return topology


RESNET_DEPTHS = (20, 32, 44, 56)
TOPOLOGIES = ("residual3", *(f"resnet{depth}" for depth in RESNET_DEPTHS), "resnet18", "alexnet")


def build_topology(
    name: str,
    image: tuple[int, int, int],
    classes: int,
    widths: tuple[int, ...] = (16, 32, 64),
    *,
    group_channels: int,
) -> Topology:
    """A topology by name.

    ``residual3`` has one block a width for small images. Only the second block is strided: from 8x8 pixels it leaves
    4x4, and halving once more would leave the widest and most expensive block four pixels to look at.
    ``resnet20``, 32, 44 and 56 are the CIFAR networks of dissertation 2.3.1.1: ``(depth - 2) / 6`` blocks a width.
    ``resnet18`` (two blocks a width) and :func:`alexnet` are its ImageNet networks; they are trained and not exported.

    Raises:
        RecipeError: an unknown name, or widths that cannot be used.
    """
    if not widths:
        raise RecipeError("widths is empty; at least one width is needed")
    if name == "alexnet":
        return alexnet(image, classes, widths, group_channels)
    if name == "residual3":
        strides = tuple(2 if stage == 1 else 1 for stage in range(len(widths)))
        stages = tuple((width, 1, stride) for width, stride in zip(widths, strides, strict=True))
    elif name == "resnet18":
        return residual_network(name, image, classes, _halving(widths, 2), group_channels, imagenet=True)
    elif name in TOPOLOGIES:
        stages = _halving(widths, (int(name.removeprefix("resnet")) - 2) // 6)
    else:
        raise RecipeError(f"topology is {name!r}; allowed are {', '.join(TOPOLOGIES)}")
    return residual_network(name, image, classes, stages, group_channels)


def _halving(widths: tuple[int, ...], blocks: int) -> tuple[tuple[int, int, int], ...]:
    """Stages of equally many blocks, each but the first halving the map."""
    return tuple((width, blocks, 1 if stage == 0 else 2) for stage, width in enumerate(widths))
