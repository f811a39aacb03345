"""Deep partial updating of a deployed ternary network: which few trits to send (DPU Alg. 1, one round).

Thresholds, scales, batch norm, activation scales and the stored bitmap stay as deployed. The first step trains all
latent weights inside stored groups and gathers each one's contribution (eq. 6 and 9). Candidates are the trits that now
differ; the budget picks among them by eq. 10. Everything else is rewound to the deployed trit and constant, and the
second step trains the picked positions alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tritforge.compress.data.dataset import Split
from tritforge.compress.export.deployed import freeze, stored_weights
from tritforge.compress.export.export import ternary_weights
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.models.evaluation import accuracy
from tritforge.compress.models.model import Model
from tritforge.compress.run.schedules import one_cycle
from tritforge.compress.updates.contributions import (
    combined_contribution,
    global_contribution,
    local_contribution,
    select_largest,
)
from tritforge.errors import DataError, NetworkError, RecipeError
from tritforge.network.network import Network

Masks = dict[str, Tensor]


@dataclass(frozen=True)
class UpdateSettings:
    """How an update trains; both steps alike.

    Attributes:
        epochs: passes over the data in each step.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule; the default is what
            :mod:`tritforge.compress.studies.select_update_rate` chose.
        momentum: of SGD.
        seed: of the order of the data.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 5e-4
    momentum: float = 0.9
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PartialUpdate:
    """The outcome of a round.

    Attributes:
        network: the updated network, or the base one when validation did not improve; bitmaps and affine integers are
            the base's.
        model: the model of ``network``, thresholds and scales frozen; the next round starts from it.
        changed_trits: trits in which it differs from the base.
        stored_trits: trits in stored groups.
        selected: by layer, mask ``(N, C, K, K)`` of the positions that were picked.
        validation_before: percent of the validation pool, base network.
        validation_after: percent of the validation pool, trained network, whether or not it is sent.
    """

    network: Network
    model: Model
    changed_trits: int
    stored_trits: int
    selected: dict[str, NDArray[np.bool_]]
    validation_before: float
    validation_after: float

    @property
    def updating_ratio(self) -> float:
        """``k``: changed trits over trits in stored groups."""
        return self.changed_trits / self.stored_trits


def update_steps(images: int, settings: UpdateSettings) -> int:
    """Optimiser steps that :func:`partial_update` takes, both steps together."""
    return 2 * settings.epochs * math.ceil(images / settings.batch_size)


def partial_update(
    model: Model,
    network: Network,
    train: Split,
    validation: Split,
    ratio: float,
    settings: UpdateSettings | None = None,
    advance: Callable[[int], None] | None = None,
) -> PartialUpdate:
    """Train a deployed network on more data while changing at most ``ratio`` of its stored trits.

    Args:
        model: the deployed network's model (:func:`tritforge.compress.export.deployed.deployed_model`); it is not
        changed. network: the deployed network. train: all data that the server holds, old and new. validation: a fixed
        pool outside every round's data; a round that does not improve on it sends nothing. ratio: updating ratio ``k``,
        above 0 and at most 1. settings: how to train. advance: called with the number of optimiser steps just done.

    Raises:
        RecipeError: a ratio out of range.
        DataError: no validation images.
        NetworkError: the model's trits are not the network's.
    """
    if not len(validation):
        raise DataError(
            "an update is judged on validation images, and this network was trained with none held out; train it with "
            "validation_fraction above 0"
        )
    if not 0 < ratio <= 1:
        raise RecipeError(f"the updating ratio is {ratio}; it must be above 0 and at most 1")
    settings = settings or UpdateSettings()
    base_model, model = model, copy.deepcopy(model)
    freeze(model)
    deployed = ternary_weights(model)
    for layer in network.ternary_layers():
        if not np.array_equal(deployed[layer.name], layer.weights):
            raise NetworkError(f"layer {layer.name}: the model's trits are not those of the deployed network")
    stored = stored_weights(network)
    base = {name: layer.weight.detach().clone() for name, layer in model.ternary_layers().items()}
    stored_trits = sum(int(mask.sum()) for mask in stored.values())

    local = {name: torch.zeros_like(weights) for name, weights in base.items()}
    _train(model, train, stored, settings, local, advance)
    selected = _select(model, base, local, stored, math.floor(ratio * stored_trits))
    _rewind(model, base, selected)
    _train(model, train, selected, settings, None, advance)

    updated = _with_trits(network, ternary_weights(model), selected)
    before, after = (
        accuracy(IntegerEvaluator(candidate).classify(validation.images), validation.labels)
        for candidate in (network, updated)
    )
    sent, kept = (updated, model) if after > before else (network, base_model)
    changed = sum(
        int(np.count_nonzero(old.weights != new.weights))
        for old, new in zip(network.ternary_layers(), sent.ternary_layers(), strict=True)
    )
    chosen = {name: mask.numpy() for name, mask in selected.items()}
    return PartialUpdate(sent, kept, changed, stored_trits, chosen, before, after)


def _train(
    model: Model,
    data: Split,
    free: Masks,
    settings: UpdateSettings,
    local: dict[str, Tensor] | None,
    advance: Callable[[int], None] | None,
) -> None:
    """Train the free positions' latent weights; gather local contributions when ``local`` is given."""
    layers = model.ternary_layers()
    optimizer = torch.optim.SGD(
        [layer.weight for layer in layers.values()], lr=settings.learning_rate, momentum=settings.momentum
    )
    total = update_steps(len(data), settings) // 2
    for step, (images, labels) in enumerate(training_batches(data, settings)):
        optimizer.param_groups[0]["lr"] = one_cycle(step, total, settings.learning_rate, 0.2)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels).backward()
        before = {name: layer.weight.detach().clone() for name, layer in layers.items()} if local is not None else {}
        for name, layer in layers.items():
            assert layer.weight.grad is not None
            layer.weight.grad *= free[name]
        optimizer.step()
        if local is not None:
            for name, layer in layers.items():
                moved = layer.weight.detach() - before[name]
                local[name] = local_contribution(local[name], layer.weight.grad, moved)
        if advance is not None:
            advance(1)


def training_batches(data: Split, settings: UpdateSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images and labels over all epochs, in a seeded order."""
    generator = torch.Generator().manual_seed(settings.seed)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    for _ in range(settings.epochs):
        for chosen in torch.randperm(len(labels), generator=generator).split(settings.batch_size):
            yield images[chosen], labels[chosen]


@torch.no_grad()
def _select(
    model: Model, base: dict[str, Tensor], local: dict[str, Tensor], stored: Masks, budget: int
) -> dict[str, Tensor]:
    """Masks of the positions to update: the best ``budget`` of the trits that differ at ``w^f``, over all layers."""
    layers = model.ternary_layers()
    moved = torch.cat([global_contribution(base[name], layer.weight)[stored[name]] for name, layer in layers.items()])
    gained = torch.cat([local[name][stored[name]] for name in layers])
    differs = []
    for name, layer in layers.items():
        now = layer.trits()
        latent, layer.weight.data = layer.weight.data, base[name]
        differs.append((now != layer.trits())[stored[name]])
        layer.weight.data = latent
    chosen = select_largest(combined_contribution(moved, gained), torch.cat(differs), budget)
    selected = {}
    for (name, mask), part in zip(stored.items(), chosen.split([int(m.sum()) for m in stored.values()]), strict=True):
        selected[name] = torch.zeros_like(mask)
        selected[name][mask] = part
    return selected


@torch.no_grad()
def _rewind(model: Model, base: dict[str, Tensor], selected: Masks) -> None:
    """Put every position that was not selected back to its deployed latent weight, whose trit is the deployed one."""
    for name, layer in model.ternary_layers().items():
        layer.weight.copy_(torch.where(selected[name], layer.weight, base[name]))


def _with_trits(network: Network, trits: dict[str, NDArray[np.int16]], selected: Masks) -> Network:
    """The network with new trits; whatever else would differ is a defect."""
    layers = {layer.name: layer for layer in network.ternary_layers()}
    for name, layer in layers.items():
        assert not np.any((trits[name] != layer.weights) & ~selected[name].numpy()), (
            f"{name}: an unselected trit differs"
        )
    return network.with_layers({name: replace(layer, weights=trits[name]) for name, layer in layers.items()})
