"""A trained model to the integer network.

Batch norm, ternary scale, activation scales and biases fold into the integers ``M, B, R, S`` of
:mod:`tritforge.network.arithmetic`, in float64 from the model's fp32 statistics. With ``s`` the real value of one step
of a map or weight and batch norm written as ``g * value + b``, one accumulator step is worth ``g * s_weight * s_in /
s_out`` output steps, the offset ``b / s_out`` and one step of the residual ``s_residual / s_out``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tritforge.compress.data.dataset import PIXEL_BITS
from tritforge.compress.layers.levels import as_int16
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.models.kinds.node import Bitmaps, ExportSite, Node, map_step
from tritforge.compress.models.model import INPUT_SCALE, Model
from tritforge.errors import NetworkError
from tritforge.network.layer import INPUT, InputSpec, Layer
from tritforge.network.network import Network


@torch.no_grad()
def export_network(
    model: Model,
    group_channels: int,
    stored: Bitmaps | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Network:
    """The integer network of a ternary model with settled statistics; the model is not changed.

    Args:
        model: the fake-quantised model.
        group_channels: ``C_g``.
        stored: stored bitmap ``(N, G)`` by layer to keep; by default exactly the non-zero groups are stored. The one
            active bitmap equals the stored one.
        provenance: what travels beside the integers.

    Raises:
        NetworkError: a model with a part in full precision, or values that the integer arithmetic cannot hold.
    """
    refusal = model.why_not_integer()
    if refusal is not None:
        raise NetworkError(f"{refusal}; only a wholly quantised model has an integer network")
    site = ExportSite({INPUT: INPUT_SCALE}, {INPUT: model.topology.image[1:]}, group_channels, stored)

    def exported(node: Node, stage: nn.Module) -> Layer:
        site.sizes[node.name] = node.size(site.sizes[node.input])
        layer = node.export(stage, site)
        if not layer.logits:
            site.steps[node.name] = map_step(stage)
        return layer

    return integer_network(model, exported, group_channels, provenance)


def integer_network(
    model: Model,
    layer_of: Callable[[Node, nn.Module], Layer],
    group_channels: int,
    provenance: Mapping[str, Any] | None = None,
) -> Network:
    """The network of a model's topology, each layer as ``layer_of`` makes it of a node and its stage, in order."""
    topology = model.topology
    layers = tuple(layer_of(node, model.stage(node.name)) for node in topology.nodes)
    zero_point = tuple(int(z) for z in model.zero_point.flatten())
    spec = InputSpec(*topology.image, PIXEL_BITS, zero_point)
    return Network(spec, layers, model.activation_bits, group_channels, dict(provenance or {}))


def skeleton_network(model: Model, stored: Bitmaps, group_channels: int) -> Network:
    """The network of a wholly quantised model of which only the structure counts: cycles are asked of it.

    Args:
        model: its multi-bit weights are the network's, for their bit planes; trits and affine values are idle.
        stored: bitmap of every ternary layer, by name.
        group_channels: ``C_g``.
    """
    return integer_network(model, lambda node, stage: node.skeleton(stage, stored.get(node.name)), group_channels)


def ternary_weights(model: Model) -> dict[str, NDArray[np.int16]]:
    """Trits ``(N, C, K, K)`` of every grouped layer of a model, by name."""
    layers: dict[str, TernaryConv2d] = model.ternary_layers()
    return {name: as_int16(layer.trits()) for name, layer in layers.items()}
