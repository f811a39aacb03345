"""The trainable network of a topology, fake-quantised or in full precision.

Both precisions share topology, names and batch norms. The quantised one computes what the integer network computes, in
fp32: its maps, divided by their scale, are the integer maps up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tritforge.compress.layers.multi_bit import WEIGHT_BITS
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.models.kinds.node import FLOAT_BITS, ModelSettings
from tritforge.compress.models.kinds.table import KINDS
from tritforge.compress.models.nodes import Topology
from tritforge.errors import RecipeError
from tritforge.network.layer import INPUT

INPUT_SCALE = 1 / 64
"""Real value of one input step ``pixel - z``; a power of two, so that the input stays exact in bfloat16 too."""

PRECISIONS = ("ternary", "float")
END_LAYERS = ("integer", "ternary", "float")
LAYER_KINDS = ("plain", "brevitas")


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
        fused: train by the compiled passes of :mod:`tritforge.compress.layers.fused_stage`, on a CPU.
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
        settings = ModelSettings(
            precision, self.activation_bits, _ternary_layer(layers), self.end_layers, end_layer_bits, fused
        )
        for node in topology.nodes:
            if KINDS.get(node.kind) is not type(node):
                raise RecipeError(f"layer {node.name} is of kind {node.kind}; models are made of {', '.join(KINDS)}")
            self.stages[node.name.replace(".", "_")] = node.module(settings)

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
            maps[node.name] = self.stage(node.name)(*(maps[source] for source in node.sources))
        return maps

    def forward(self, pixels: Tensor) -> Tensor:
        return self.maps(pixels)[self.topology.nodes[-1].name].float()


def _ternary_layer(kind: str) -> type[nn.Module]:
    if kind == "plain":
        return TernaryConv2d
    if kind == "brevitas":
        try:
            from tritforge.compress.layers.brevitas_layers import BrevitasTernaryConv2d
        except ImportError as error:
            raise RecipeError(f"layers is 'brevitas', but Brevitas cannot be imported ({error})") from error
        return BrevitasTernaryConv2d
    raise RecipeError(f"layers is {kind!r}; allowed are {', '.join(LAYER_KINDS)}")
