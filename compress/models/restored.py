"""A recipe's model, freshly drawn or as a finished run left it."""

from __future__ import annotations

from dataclasses import replace

import torch

from tritforge.compress.layers.ternary import TernaryScale
from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.model import Model
from tritforge.compress.run.checkpoint import Checkpoint, CheckpointError
from tritforge.compress.run.recipe import Recipe


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


def model_of_checkpoint(checkpoint: Checkpoint, image: tuple[int, int, int], classes: int) -> Model:
    """The model that a finished run left, in evaluation mode and made of plain layers, whatever it was trained with.

    Raises:
        CheckpointError: the run is not finished, or its weights do not fit its recipe.
    """
    if not checkpoint.finished:
        raise CheckpointError(
            f"the checkpoint stands at step {checkpoint.step} of an unfinished run; finish training first"
        )
    model = build_model(replace(checkpoint.recipe, layers="plain"), image, classes, checkpoint.zero_point)
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        raise CheckpointError("the checkpoint's weights do not fit the network that its recipe describes") from error
    layers = model.ternary_layers()
    for name, (threshold, scale) in checkpoint.frozen.items():
        layers[name].frozen = TernaryScale(torch.tensor(threshold), torch.tensor(scale))
    return model.eval()
