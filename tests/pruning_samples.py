"""Small models with some of their groups empty."""

from __future__ import annotations

import torch
from compress_samples import SMALL, changed

from tritforge.compress.export.export import export_network
from tritforge.compress.methods.chosen import begun_methods
from tritforge.compress.methods.target_pruning import TargetPruning
from tritforge.compress.models.restored import build_model
from tritforge.cost.cycle_model import predict
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters

TARGET = 500.0
LATENCY = changed(
    SMALL,
    {
        "weight_penalty_clipping.penalty": 0.2,
        "weight_penalty_clipping.clipping": 2.0,
        "target_pruning.cycles": TARGET,
    },
    epochs=12,
    learning_rate=0.01,
)


def model_of(recipe=LATENCY, image=(1, 8, 8), seed: int = 0):
    torch.manual_seed(seed)
    return build_model(recipe, image, 10, (20,) * image[0])


def pruning_of(recipe, model, steps: int) -> TargetPruning:
    """The recipe's pruning to a target, at the beginning of a training."""
    pruning = begun_methods(recipe, model, steps)["target_pruning"]
    assert isinstance(pruning, TargetPruning)
    return pruning


def empty_groups(model, seed: int, part: float) -> None:
    """Set random groups of every ternary layer to zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.ternary_layers().values():
            outputs, channels = layer.weight.shape[:2]
            kept = torch.rand(outputs, channels // 16, generator=generator) >= part
            layer.weight.mul_(kept.repeat_interleave(16, dim=1)[:, :, None, None])


def exported_cycles(model) -> float:
    parameters = AcceleratorParameters(group_channels=LATENCY.group_channels)
    network = export_network(model, LATENCY.group_channels)
    return predict(lower(network, fitting_parameters(network, parameters))).cycles_per_image
