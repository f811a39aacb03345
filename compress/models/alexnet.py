"""AlexNet, which is trained and not exported."""

from __future__ import annotations

from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.flatten import FlattenNode
from tritforge.compress.models.kinds.node import Node
from tritforge.compress.models.kinds.pool import MaxPoolNode
from tritforge.compress.models.nodes import Topology
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT

ALEXNET_LAYERS = ((11, 4, True), (5, 1, True), (3, 1, False), (3, 1, False), (3, 1, True))
"""Of each convolution of AlexNet: kernel, stride, and whether a max pool follows."""


def alexnet(image: tuple[int, int, int], classes: int, widths: tuple[int, ...], group_channels: int) -> Topology:
    """AlexNet as one column (Krizhevsky, arXiv 1404.5997) with batch norm instead of dropout.

    Its two hidden fully connected layers are 1x1 convolutions over the 1x1 map that flattening gives. A max pool ends a
    stage.

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
    (channels, *sizes), entry, stage = image, INPUT, 1
    for number, ((kernel, stride, pooled), outputs) in enumerate(zip(ALEXNET_LAYERS, convolutions, strict=True), 1):
        name, ternary = f"conv{number}", number > 1
        nodes.append(ConvNode(name, entry, channels, outputs, kernel, stride, ternary=ternary, stage=stage))
        channels, sizes = outputs, [-(-size // stride) for size in sizes]
        if pooled:
            nodes.append(MaxPoolNode(f"pool{number}", nodes[-1].name, channels, padding=0))
            sizes = [(size - 3) // 2 + 1 for size in sizes]
            stage += 1
        entry = nodes[-1].name
    if min(sizes) < 1:
        raise RecipeError(f"images of {image[2]}x{image[1]} pixels are too small for alexnet: pooling leaves nothing")
    pixels = channels * sizes[0] * sizes[1]
    nodes.append(FlattenNode("flatten", entry, channels, pixels))
    nodes.append(ConvNode("fc6", "flatten", pixels, hidden, kernel=1, stage=stage, role="hidden"))
    nodes.append(ConvNode("fc7", "fc6", hidden, hidden, kernel=1, stage=stage, role="hidden"))
    nodes.append(ClassifierNode("classifier", "fc7", hidden, classes))
    return Topology("alexnet", image, tuple(nodes)).grouped(group_channels)
