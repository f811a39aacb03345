"""The trainable network of a topology, fake-quantised or in full precision.

Both precisions share topology, names and batch norms. The quantised one computes what the integer network computes, in
fp32: its maps, divided by their scale, are the integer maps up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.activations import ActivationQuantiser
from tritforge.compress.integer_weights import IntegerConv2d, IntegerLinear
from tritforge.compress.ternary import TernaryConv2d
from tritforge.compress.topology import ClassifierNode, ConvNode, PoolNode, Topology
from tritforge.errors import RecipeError
from tritforge.network import INPUT

INPUT_SCALE = 1 / 64
"""Real value of one input step ``pixel - z``; a power of two, so that the input stays exact in bfloat16 too."""

PRECISIONS = ("ternary", "float")
LAYER_KINDS = ("plain", "brevitas")


def option_a(source: Tensor, like: Tensor) -> Tensor:
    """Option-A shortcut: every second pixel where the map shrank, and equally many zero channels on each side."""
    stride = 1 if source.shape[2:] == like.shape[2:] else 2
    zeros = (like.shape[1] - source.shape[1]) // 2
    return functional.pad(source[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros, zeros))


class ConvStage(nn.Module):
    """Convolution, batch norm, residual, and the only quantisation after all three."""

    def __init__(self, conv: nn.Module, outputs: int, activation: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation

    def forward(self, maps: Tensor, residual: Tensor | None = None) -> Tensor:
        values = self.norm(self.conv(maps))
        if residual is not None:
            values = values.float() + option_a(residual, values)
        return self.activation(values)


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
        precision: ``ternary`` or ``float`` (the full-precision twin).
        activation_bits: ``A`` of every map.
        layers: ``plain`` or ``brevitas`` ternary layers.
    """

    zero_point: Tensor

    def __init__(
        self,
        topology: Topology,
        zero_point: tuple[int, ...],
        precision: str = "ternary",
        activation_bits: int = 8,
        layers: str = "plain",
    ) -> None:
        super().__init__()
        self.topology = topology
        self.precision = precision
        self.activation_bits = activation_bits
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.float32).reshape(1, -1, 1, 1))
        self.stages = nn.ModuleDict()
        for node in topology.nodes:
            self.stages[node.name.replace(".", "_")] = self._stage(node, _ternary_layer(layers))

    def _stage(self, node: ConvNode | PoolNode | ClassifierNode, ternary_layer: type[nn.Module]) -> nn.Module:
        real = self.precision == "float"
        if isinstance(node, ClassifierNode):
            return ClassifierStage((nn.Linear if real else IntegerLinear)(node.inputs, node.outputs))
        if isinstance(node, PoolNode):
            return PoolStage(nn.Identity() if real else ActivationQuantiser(self.activation_bits))
        if real:
            conv: nn.Module = nn.Conv2d(
                node.inputs, node.outputs, node.kernel, node.stride, padding=node.kernel // 2, bias=False
            )
        else:
            kind = ternary_layer if node.ternary else IntegerConv2d
            conv = kind(node.inputs, node.outputs, node.kernel, node.stride)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        return ConvStage(conv, node.outputs, nn.ReLU() if real else ActivationQuantiser(self.activation_bits))

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
