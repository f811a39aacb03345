"""The full update that a partial one is measured against: everything a patch could carry is free.

Latent weights, thresholds and scales of the ternary layers, batch norms and the classifier's bias (the affine entries)
train on from the deployed state. Activation scales and multi-bit weights stay as they are and groups that are not
stored stay empty, so that the result has the deployed network's memory layout.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch.nn import functional

from tritforge.compress.data.dataset import Split
from tritforge.compress.export.deployed import stored_weights
from tritforge.compress.export.export import export_network
from tritforge.compress.models.evaluation import settle_statistics, track_scales
from tritforge.compress.models.model import Model
from tritforge.compress.run.schedules import one_cycle
from tritforge.compress.updates.deep_partial import UpdateSettings, training_batches
from tritforge.network.network import Network


def retraining_steps(images: int, settings: UpdateSettings) -> int:
    """Optimiser steps that :func:`full_retraining` takes."""
    return settings.epochs * math.ceil(images / settings.batch_size)


def full_retraining(
    model: Model,
    network: Network,
    train: Split,
    settings: UpdateSettings | None = None,
    advance: Callable[[int], None] | None = None,
) -> Network:
    """Retrain a deployed network on more data, from the same state and with the same bitmaps.

    Args:
        model: the deployed network's model; it is not changed.
        network: the deployed network.
        train: all data that the server holds, old and new.
        settings: how to train.
        advance: called with the number of optimiser steps just done.
    """
    settings = settings or UpdateSettings()
    model = copy.deepcopy(model)
    stored = stored_weights(network)
    layers = model.ternary_layers()
    for parameter in model.parameters():
        # Vectors are batch norms and the classifier's bias; matrices outside the ternary layers stay.
        parameter.requires_grad_(parameter.ndim == 1)
    with torch.no_grad():
        for name, layer in layers.items():
            layer.frozen = None
            layer.weight.mul_(stored[name])
            layer.weight.requires_grad_(True)
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(free, lr=settings.learning_rate, momentum=settings.momentum)
    total = retraining_steps(len(train), settings)
    track_scales(model, False)
    model.train()
    for step, (images, labels) in enumerate(training_batches(train, settings)):
        optimizer.param_groups[0]["lr"] = one_cycle(step, total, settings.learning_rate, 0.2)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels).backward()
        for name, layer in layers.items():
            assert layer.weight.grad is not None
            layer.weight.grad *= stored[name]
        optimizer.step()
        if advance is not None:
            advance(1)
    settle_statistics(model, train.images)
    bitmaps = {layer.name: layer.stored for layer in network.ternary_layers() if layer.stored is not None}
    return export_network(model, network.group_channels, stored=bitmaps)
