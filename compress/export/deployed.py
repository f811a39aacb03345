"""The server's copy of a deployed network: a trainable model whose latent weights are the network's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tritforge.compress.export.export import export_network
from tritforge.compress.layers.ternary import ternary_scale
from tritforge.compress.models.evaluation import track_scales
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import Checkpoint, CheckpointError
from tritforge.network.digest import network_digest
from tritforge.network.layer import Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import group_weights, ungroup_weights


def updated_checkpoint(checkpoint: Checkpoint, model: Model, network: Network) -> Checkpoint:
    """The checkpoint to keep after an update, from which the next round starts.

    Args:
        checkpoint: the one before.
        model: the updated model, its thresholds and scales still those of the first deployment.
        network: its integer network.
    """
    frozen = {
        name: (float(layer.frozen.threshold), float(layer.frozen.scale))
        for name, layer in model.ternary_layers().items()
        if layer.frozen is not None
    }
    return replace(checkpoint, model=model.state_dict(), frozen=frozen, network_digest=network_digest(network))


def deployed_model(checkpoint: Checkpoint, network: Network) -> Model:
    """The model whose export is ``network``.

    Raises:
        CheckpointError: the network was not exported from this checkpoint; it names the first layer that differs.
    """
    image = (network.input.channels, network.input.height, network.input.width)
    model = model_of_checkpoint(checkpoint, image, network.classes)
    if checkpoint.network_digest == network_digest(network):
        return model
    again = export_network(model, network.group_channels)
    if again.activation_bits != network.activation_bits or again.input != network.input:
        raise CheckpointError("the network's input or activation width is not the checkpoint's")
    for ours, theirs in zip(again.layers, network.layers, strict=False):
        if ours.name != theirs.name or not _same_integers(ours, theirs):
            raise CheckpointError(f"layer {theirs.name} of the network was not exported from this checkpoint")
    if len(again.layers) != len(network.layers):
        raise CheckpointError("the network has not the checkpoint's layers")
    return model


def _same_integers(ours: Layer, theirs: Layer) -> bool:
    """Whether two layers are equal in all but their bitmaps, which an export makes anew."""
    if type(ours) is not type(theirs):
        return False
    names = vars(ours).keys() - {"stored", "active"}
    return all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in names)


def freeze(model: Model) -> None:
    """Pin thresholds, scales, batch norms and activation scales; only ternary latent weights keep a gradient."""
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in model.ternary_layers().values():
        # A model that was updated before keeps the thresholds and scales of its first deployment.
        layer.frozen = layer.frozen or ternary_scale(layer.weight)
        layer.weight.requires_grad_(True)
    track_scales(model, False)


def stored_weights(network: Network) -> dict[str, Tensor]:
    """By ternary layer, a mask ``(N, C, K, K)`` of the weights that lie in stored groups."""
    masks = {}
    for layer in network.ternary_layers():
        assert layer.stored is not None
        lanes: NDArray[np.bool_] = group_weights(np.ones(layer.weights.shape, np.bool_), network.group_channels)
        kept = lanes & layer.stored[:, :, None, None]
        masks[layer.name] = torch.from_numpy(ungroup_weights(kept, layer.inputs, layer.kernel))
    return masks
