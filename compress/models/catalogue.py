"""The topologies that a recipe can name."""

from __future__ import annotations

from tritforge.compress.models.alexnet import alexnet
from tritforge.compress.models.nodes import Topology
from tritforge.compress.models.residual import residual_network
from tritforge.errors import RecipeError

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
