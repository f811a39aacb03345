"""A trained model to the integer network.

Batch norm, ternary scale, activation scales and biases fold into the integers ``M, B, R, S`` of
:mod:`tritforge.network.arithmetic`, in float64 from the model's fp32 statistics. With ``s`` the real value of one step
of a map or weight and batch norm written as ``g * value + b``, one accumulator step is worth ``g * s_weight * s_in /
s_out`` output steps, the offset ``b / s_out`` and one step of the residual ``s_residual / s_out``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tritforge.compress.data.dataset import PIXEL_BITS
from tritforge.compress.layers.levels import as_float64, as_int16, integer_weights
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.models.model import INPUT_SCALE, Model
from tritforge.compress.models.nodes import ClassifierNode, ConvNode, PoolNode
from tritforge.compress.models.stages import ClassifierStage, ConvStage, PoolStage
from tritforge.errors import NetworkError
from tritforge.network.arithmetic import fold_affine
from tritforge.network.network import (
    INPUT,
    TERNARY_BITS,
    AveragePool,
    Convolution,
    InputSpec,
    Layer,
    Network,
    output_size,
)
from tritforge.network.pe_groups import nonzero_groups

Bitmaps = Mapping[str, NDArray[np.bool_]]


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
    channels, height, width = model.topology.image
    steps = {INPUT: INPUT_SCALE}
    sizes = {INPUT: (height, width)}
    layers: list[Layer] = []
    for node in model.topology.nodes:
        stage = model.stage(node.name)
        rows, columns = sizes[node.input]
        if isinstance(node, ConvNode):
            sizes[node.name] = (output_size(rows, node.stride), output_size(columns, node.stride))
            steps[node.name] = map_step(stage)
            layers.append(_convolution(node, stage, steps, group_channels, stored))
        elif isinstance(node, PoolNode):
            sizes[node.name] = (1, 1)
            steps[node.name] = map_step(stage)
            scale = np.full(node.inputs, steps[node.input] / (rows * columns * steps[node.name]))
            multiplier, bias, _, shift = fold_affine(scale, np.zeros(node.inputs), layer=node.name)
            layers.append(AveragePool(node.name, node.input, multiplier, bias, shift))
        elif isinstance(node, ClassifierNode):
            layers.append(_classifier(node, stage, steps[node.input]))
    zero_point = tuple(int(z) for z in model.zero_point.flatten())
    spec = InputSpec(channels, height, width, PIXEL_BITS, zero_point)
    return Network(spec, tuple(layers), model.activation_bits, group_channels, dict(provenance or {}))


def map_step(stage: nn.Module) -> float:
    """Real value of one level of the map that a convolution or pool stage gives."""
    assert isinstance(stage, ConvStage | PoolStage)
    return float(stage.activation.scale)


def _convolution(
    node: ConvNode, stage: nn.Module, steps: Mapping[str, float], group_channels: int, stored: Bitmaps | None
) -> Convolution:
    assert isinstance(stage, ConvStage)
    weights, weight_steps, weight_bits = integer_weights(stage.conv)
    bitmap = None
    if node.ternary:
        bitmap = nonzero_groups(weights, group_channels) if stored is None else stored[node.name].copy()
    gain = as_float64(stage.norm.weight) / np.sqrt(as_float64(stage.norm.running_var) + stage.norm.eps)
    offset = as_float64(stage.norm.bias) - gain * as_float64(stage.norm.running_mean)
    step = steps[node.name]
    multiplier, bias, residual, shift = fold_affine(
        gain * weight_steps * steps[node.input] / step,
        offset / step,
        0.0 if node.residual is None else steps[node.residual] / step,
        layer=node.name,
    )
    return Convolution(
        node.name,
        node.input,
        weights,
        TERNARY_BITS if node.ternary else weight_bits,
        node.stride,
        multiplier,
        bias,
        shift,
        residual=node.residual,
        residual_multiplier=residual,
        stored=bitmap,
        active=() if bitmap is None else (bitmap.copy(),),
    )


def _classifier(node: ClassifierNode, stage: nn.Module, step: float) -> Convolution:
    """Logits in steps of ``2**-S``: the shift that scales ``M`` and ``B`` is common to all classes, and stays in."""
    assert isinstance(stage, ClassifierStage)
    weights, weight_steps, weight_bits = integer_weights(stage.linear)
    multiplier, bias, _, _ = fold_affine(weight_steps * step, as_float64(stage.linear.bias), layer=node.name)
    weights = weights[:, :, None, None]
    return Convolution(node.name, node.input, weights, weight_bits, 1, multiplier, bias, 0, logits=True)


def ternary_weights(model: Model) -> dict[str, NDArray[np.int16]]:
    """Trits ``(N, C, K, K)`` of every grouped layer of a model, by name."""
    layers: dict[str, TernaryConv2d] = model.ternary_layers()
    return {name: as_int16(layer.trits()) for name, layer in layers.items()}
