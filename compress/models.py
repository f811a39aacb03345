"""The trainable network of a topology, fake-quantised or in full precision.

Both precisions share topology, names and batch norms. The quantised one computes what the integer network computes, in
fp32: its maps, divided by their scale, are the integer maps up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.activations import ActivationQuantiser
from tritforge.compress.fused_stage import fused_stage, fusible
from tritforge.compress.integer_weights import WEIGHT_BITS, IntegerConv2d, IntegerLinear
from tritforge.compress.recipe import Recipe
from tritforge.compress.ternary import TernaryConv2d, TernaryLinear
from tritforge.compress.topology import (
    ClassifierNode,
    ConvNode,
    FlattenNode,
    MaxPoolNode,
    Node,
    PoolNode,
    Topology,
    build_topology,
)
from tritforge.errors import RecipeError
from tritforge.network import INPUT

INPUT_SCALE = 1 / 64
"""Real value of one input step ``pixel - z``; a power of two, so that the input stays exact in bfloat16 too."""

PRECISIONS = ("ternary", "float")
END_LAYERS = ("integer", "ternary", "float")
FLOAT_BITS = 32
"""``activation_bits`` of maps that are not quantised."""
LAYER_KINDS = ("plain", "brevitas")


def option_a(source: Tensor, like: Tensor) -> Tensor:
    """Option-A shortcut: every second pixel where the map shrank, and equally many zero channels on each side."""
    if source.shape == like.shape:
        return source
    return _OptionA.apply(source, 1 if source.shape[2:] == like.shape[2:] else 2, like.shape[1])


class _OptionA(torch.autograd.Function):
    """The shortcut with a gradient in the source's memory layout: autograd's own is in another, and slow to add."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, stride: int, channels: int) -> Tensor:
        zeros = (channels - source.shape[1]) // 2
        ctx.save_for_backward(source)
        ctx.taken = slice(zeros, channels - zeros), slice(None, None, stride)
        return functional.pad(source[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros, zeros))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (source,) = ctx.saved_tensors
        channels, pixels = ctx.taken
        gradient = torch.zeros_like(source)
        gradient[:, :, pixels, pixels] = gradients[0][:, channels]
        return gradient, None, None


class ConvStage(nn.Module):
    """Convolution, batch norm, residual, and the only quantisation after all three.

    Args:
        conv: the convolution.
        outputs: its output channels.
        activation: ReLU, quantiser or nothing.
        fused: train by :mod:`tritforge.compress.fused_stage` where it can.
    """

    def __init__(self, conv: nn.Module, outputs: int, activation: nn.Module, fused: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation
        self.fused = fused

    def forward(self, maps: Tensor, residual: Tensor | None = None) -> Tensor:
        values = self.conv(maps)
        shortcut = None if residual is None else option_a(residual, values)
        if self.fused and fusible(values, self.norm, self.activation):
            return fused_stage(values, shortcut, self.norm, self.activation)
        values = self.norm(values)
        return self.activation(values if shortcut is None else values + shortcut)


class PoolStage(nn.Module):
    """Global average pool to ``(B, C, 1, 1)`` and its quantisation."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(maps.mean(dim=(2, 3), keepdim=True))


class ClassifierStage(nn.Module):
    """Logits ``(B, classes)`` from a ``(B, C, 1, 1)`` map."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(maps.flatten(1))


class Model(nn.Module):
    """A topology as a PyTorch module.

    The input is ``(B, C, H, W)`` unsigned pixels of any numeric type; the model subtracts the zero point itself.

    Args:
        topology: the nodes.
        zero_point: integer ``z`` of each input channel.
        precision: ``ternary``, or ``float`` for the full-precision twin, in which nothing is quantised.
        activation_bits: ``A`` of every map; 32 leaves maps in floating point, as dissertation 2.3 does.
        layers: ``plain`` or ``brevitas`` ternary layers.
        end_layers: weights of the first and last layer, ``integer``, ``ternary`` or ``float``.
        end_layer_bits: width of integer ones.
        fused: train by the compiled passes of :mod:`tritforge.compress.fused_stage`, on a CPU.
    """

    zero_point: Tensor

    def __init__(
        self,
        topology: Topology,
        zero_point: tuple[int, ...],
        precision: str = "ternary",
        activation_bits: int = 8,
        layers: str = "plain",
        end_layers: str = "integer",
        end_layer_bits: int = WEIGHT_BITS,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.topology = topology
        self.precision = precision
        self.activation_bits = FLOAT_BITS if precision == "float" else activation_bits
        self.end_layers = "float" if precision == "float" else end_layers
        self.end_layer_bits = end_layer_bits
        self.fused = fused
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.float32).reshape(1, -1, 1, 1))
        self.stages = nn.ModuleDict()
        for node in topology.nodes:
            self.stages[node.name.replace(".", "_")] = self._stage(node, _ternary_layer(layers))

    def _stage(self, node: Node, ternary_layer: type[nn.Module]) -> nn.Module:
        real_maps = self.activation_bits == FLOAT_BITS
        if isinstance(node, ClassifierNode):
            return ClassifierStage(self._classifier(node))
        if isinstance(node, MaxPoolNode):
            return nn.MaxPool2d(node.kernel, node.stride, node.padding)
        if isinstance(node, FlattenNode):
            return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (node.outputs, 1, 1)))
        if isinstance(node, PoolNode):
            return PoolStage(nn.Identity() if real_maps else ActivationQuantiser(self.activation_bits))
        conv = self._convolution(node, ternary_layer)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
        if not node.rectified:
            return ConvStage(conv, node.outputs, nn.Identity())
        activation = nn.ReLU() if real_maps else ActivationQuantiser(self.activation_bits)
        return ConvStage(conv, node.outputs, activation, self.fused)

    def _convolution(self, node: ConvNode, ternary_layer: type[nn.Module]) -> nn.Module:
        shape = (node.inputs, node.outputs, node.kernel, node.stride)
        if node.ternary and self.precision == "ternary":
            return ternary_layer(*shape)
        if node.ternary or self.end_layers == "float":
            return nn.Conv2d(*shape, padding=node.kernel // 2, bias=False)
        return TernaryConv2d(*shape) if self.end_layers == "ternary" else IntegerConv2d(*shape, self.end_layer_bits)

    def _classifier(self, node: ClassifierNode) -> nn.Linear:
        if self.end_layers == "float":
            return nn.Linear(node.inputs, node.outputs)
        if self.end_layers == "ternary":
            return TernaryLinear(node.inputs, node.outputs)
        return IntegerLinear(node.inputs, node.outputs, self.end_layer_bits)

    def why_not_integer(self) -> str | None:
        """What of the model the integer network cannot express, as a clause; None for a model that can be exported."""
        if self.topology.why_not_integer() is not None:
            return self.topology.why_not_integer()
        if self.precision == "float":
            return "the model's weights are in full precision"
        if self.end_layers == "float":
            return "the model's first and last layers are in full precision"
        if self.activation_bits == FLOAT_BITS:
            return "the model's activations are in full precision"
        return None

    def stage(self, name: str) -> nn.Module:
        """The module of a node."""
        return self.stages[name.replace(".", "_")]

    def ternary_layers(self) -> dict[str, TernaryConv2d]:
        """The grouped convolutions by node name, in order; the full-precision twin's are plain convolutions."""
        return {node.name: self.stage(node.name).conv for node in self.topology.ternary_nodes()}

    def maps(self, pixels: Tensor) -> dict[str, Tensor]:
        """Every map by name, the centred and scaled input among them; the last entry holds logits ``(B, classes)``."""
        maps = {INPUT: (pixels.float() - self.zero_point) * INPUT_SCALE}
        for node in self.topology.nodes:
            stage = self.stage(node.name)
            if isinstance(node, ConvNode) and node.residual is not None:
                maps[node.name] = stage(maps[node.input], maps[node.residual])
            else:
                maps[node.name] = stage(maps[node.input])
        return maps

    def forward(self, pixels: Tensor) -> Tensor:
        return self.maps(pixels)[self.topology.nodes[-1].name].float()


def build_model(recipe: Recipe, image: tuple[int, int, int], classes: int, zero_point: tuple[int, ...]) -> Model:
    """The recipe's model with freshly drawn weights (from torch's global generator), in the recipe's memory layout."""
    topology = build_topology(recipe.topology, image, classes, recipe.widths, group_channels=recipe.group_channels)
    model = Model(
        topology,
        zero_point,
        recipe.precision,
        recipe.activation_bits,
        recipe.layers,
        recipe.end_layers,
        recipe.end_layer_bits,
        recipe.fused and not recipe.compiled,
    )
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model  # type: ignore[call-overload]


def _ternary_layer(kind: str) -> type[nn.Module]:
    if kind == "plain":
        return TernaryConv2d
    if kind == "brevitas":
        try:
            from tritforge.compress.brevitas_layers import BrevitasTernaryConv2d
        except ImportError as error:
            raise RecipeError(f"layers is 'brevitas', but Brevitas cannot be imported ({error})") from error
        return BrevitasTernaryConv2d
    raise RecipeError(f"layers is {kind!r}; allowed are {', '.join(LAYER_KINDS)}")
