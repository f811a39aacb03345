"""Residual networks: those for small images, and those for ImageNet."""

from __future__ import annotations

from dataclasses import replace

from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvNode
from tritforge.compress.models.kinds.node import Node
from tritforge.compress.models.kinds.pool import MaxPoolNode, PoolNode
from tritforge.compress.models.nodes import Topology
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT


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
    nodes: list[Node] = [ConvNode("stem", INPUT, image[0], width, ternary=False, role="stem")]
    if imagenet:
        nodes = [
            ConvNode("stem", INPUT, image[0], width, kernel=7, stride=2, ternary=False, role="stem"),
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
                projection = ConvNode(residual, entry, width, outputs, 1, stride, rectified=False, role="shortcut")
                nodes.append(replace(projection, stage=stage, block=block))
            conv1 = ConvNode(f"{stem}.conv1", entry, width, outputs, stride=stride, role="conv1")
            conv2 = ConvNode(f"{stem}.conv2", conv1.name, outputs, outputs, residual=residual, role="conv2")
            nodes += [replace(node, stage=stage, block=block) for node in (conv1, conv2)]
            width = outputs
    nodes.append(PoolNode("pool", nodes[-1].name, width))
    nodes.append(ClassifierNode("classifier", "pool", width, classes))
    return Topology(name, image, tuple(nodes)).grouped(group_channels)
