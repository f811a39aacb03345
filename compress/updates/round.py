"""A round of updating a deployed network, the same for all policies.

A policy says span by span what may change. The round trains, rewinds, exports, holds the result against what was freed
and against the budget, sends it only where validation improves, and makes the patch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from tritforge.compress.data.dataset import Split
from tritforge.compress.engine.fit import fit
from tritforge.compress.engine.method import Gradients, Method, Run, weight_names
from tritforge.compress.engine.step import Batch, Computation, Learner
from tritforge.compress.export.deployed import freeze
from tritforge.compress.export.export import ternary_weights
from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.models.evaluation import accuracy, settle_statistics
from tritforge.compress.models.model import Model
from tritforge.compress.models.stages import ClassifierStage, ConvStage
from tritforge.compress.run.schedules import one_cycle
from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policy import Deployed, Facts, Policy, Span, State, UpdateSettings
from tritforge.compress.updates.positions import Masks, Positions, StoredTrits
from tritforge.compress.updates.result import changed_elsewhere, updated_network
from tritforge.errors import DataError, NetworkError, RecipeError
from tritforge.network.network import Network
from tritforge.patches.patch import diff, network_version

WARMUP = 0.2
"""Part of a training in which the learning rate rises."""


@dataclass(frozen=True, eq=False)
class Update:
    """The outcome of a round.

    Attributes:
        base: the network it started from.
        candidate: the network that was trained, whether or not it is sent.
        network: ``candidate``, or ``base`` where validation did not improve.
        model: the model of ``network``; the next round starts from it.
        sent: what of ``candidate`` may differ from ``base``.
        validation_before: percent of the validation images, base network.
        validation_after: percent of the validation images, candidate.
        trits: stored trits of both.
    """

    base: Network
    candidate: Network
    network: Network
    model: Model
    sent: Positions
    validation_before: float
    validation_after: float
    trits: StoredTrits

    @property
    def stored_trits(self) -> int:
        """Trits in stored groups."""
        return len(self.trits)

    @property
    def changed_trits(self) -> int:
        """Trits in which ``network`` differs from ``base``."""
        return int(self._changed().sum())

    @property
    def changed_words(self) -> int:
        """Weight words of the accelerator in which ``network`` differs from ``base``."""
        return len(self.trits.words[self._changed()].unique())

    @property
    def updating_ratio(self) -> float:
        """``k``: changed trits over trits in stored groups."""
        return self.changed_trits / self.stored_trits

    @cached_property
    def patch(self) -> bytes:
        """The patch file from ``base`` to ``network``, one version up; empty where nothing is sent.

        Raises:
            PatchError: they differ in something that a patch does not carry.
        """
        return b"" if self.network is self.base else diff(self.base, self.network, network_version(self.base) + 1)

    def used(self, budget: Budget) -> int:
        """What ``network`` takes of a budget, in what it counts."""
        counted = {"trits": lambda: self.changed_trits, "words": lambda: self.changed_words}
        return counted.get(budget.counted, lambda: len(self.patch))()

    def _changed(self) -> Tensor:
        layers = zip(self.base.ternary_layers(), self.network.ternary_layers(), strict=True)
        return self.trits.row({old.name: torch.from_numpy(old.weights != new.weights) for old, new in layers})


def steps_of_training(images: int, settings: UpdateSettings) -> int:
    """Optimiser steps of one training."""
    return settings.epochs * math.ceil(images / settings.batch_size)


def update_network(
    policy: Policy,
    model: Model,
    network: Network,
    train: Split,
    validation: Split,
    budget: Budget | None = None,
    settings: UpdateSettings | None = None,
    advance: Callable[[int], None] | None = None,
) -> Update:
    """Train a deployed network on more data while changing what a policy frees.

    Args:
        policy: which positions may change, one of :mod:`tritforge.compress.updates.policies`.
        model: the deployed network's model (:func:`tritforge.compress.export.deployed.deployed_model`); it is not
            changed.
        network: the deployed network.
        train: all data that the server holds, old and new.
        validation: a fixed pool outside every round's data; a round that does not improve on it sends nothing.
        budget: what the update may take; the policy says whether it needs one.
        settings: how to train; by default the policy's.
        advance: called with the number of optimiser steps just done.

    Raises:
        DataError: no validation images.
        NetworkError: the model's trits are not the network's.
        RecipeError: a budget that the policy does not go by, or none where it needs one.
    """
    _check_budget(policy, budget)
    if not len(validation):
        raise DataError(
            "an update is judged on validation images, and this network was trained with none held out; train it with "
            "validation_fraction above 0"
        )
    settings = settings or policy.settings
    base_model, model = model, copy.deepcopy(model)
    freeze(model)
    trits = ternary_weights(model)
    for layer in network.ternary_layers():
        if not np.array_equal(trits[layer.name], layer.weights):
            raise NetworkError(f"layer {layer.name}: the model's trits are not those of the deployed network")
    steps = steps_of_training(len(train), settings)
    deployed = Deployed(network, _state(model), weight_names(model), StoredTrits(network), settings, steps)

    spans = policy.spans(deployed, budget)
    span = next(spans)
    _rewind(model, span.base, {})
    while True:
        _train(model, deployed, span, train, advance)
        try:
            after = spans.send(_facts(model, deployed, span, train, validation))
        except StopIteration:
            break
        _rewind(model, after.base, {} if after.fresh else _masks(model, after.train))
        span = after

    candidate = _finished(model, deployed, span, train)
    elsewhere = changed_elsewhere(network, candidate, span.sent)
    assert not elsewhere, f"an update changed what it may not send: {', '.join(elsewhere)}"
    before, after_it = (right(one, validation) for one in (network, candidate))
    update = Update(network, candidate, candidate, model, span.sent, before, after_it, deployed.trits)
    assert budget is None or update.used(budget) <= budget.limit(deployed.trits), "an update exceeds its budget"
    return update if after_it > before else replace(update, network=network, model=base_model)


def right(network: Network, split: Split) -> float:
    """Percent of a split that an integer network classifies rightly."""
    return accuracy(IntegerEvaluator(network).classify(split.images), split.labels)


def training_batches(data: Split, settings: UpdateSettings) -> Iterator[Batch]:
    """Batches of one training, every epoch in another seeded order."""
    generator = torch.Generator().manual_seed(settings.seed)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    for _ in range(settings.epochs):
        for chosen in torch.randperm(len(labels), generator=generator).split(settings.batch_size):
            yield Batch(images[chosen], labels[chosen])


def _check_budget(policy: Policy, budget: Budget | None) -> None:
    wanted = f"a budget of {' or '.join(policy.units)}" if policy.units else "no budget"
    if budget is None and policy.units:
        raise RecipeError(f"the update has no budget; its policy goes by {wanted}")
    if budget is not None and budget.unit not in policy.units:
        raise RecipeError(f"the update has a budget of {budget.unit}; its policy goes by {wanted}")


class _FreeEntries(Method):
    """Holds all but some entries of vectors; weights of grouped layers are held by the loop itself."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def edit(self, gradients: Gradients) -> Gradients:
        """Gradients of 0 where an entry is held."""
        return gradients | {name: gradients[name] * mask for name, mask in self._masks.items()}


def _train(model: Model, deployed: Deployed, span: Span, data: Split, advance: Callable[[int], None] | None) -> None:
    """Take the steps of a span."""
    for layer, mask in span.train.trits.items():
        outside = mask & ~deployed.trits.masks[layer]
        assert span.train.bitmaps or not outside.any(), f"{layer}: a policy frees trits of groups that are not stored"
    freeze(model)
    if not span.pinned:
        for conv in model.ternary_layers().values():
            conv.frozen = None
    masks = _masks(model, span.train)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in masks)
        parameter.grad = None
    settings, total = deployed.settings, span.total or span.steps.stop
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    vectors = {name: mask for name, mask in masks.items() if mask.ndim == 1}
    methods = {"free entries": _FreeEntries(vectors), **span.methods}
    run = Run(model, len(span.steps), deployed.network.group_channels, methods)
    for method in methods.values():
        method.begin(run)
    learner = Learner(
        model,
        torch.optim.SGD(free, lr=settings.learning_rate, momentum=settings.momentum),
        partial(one_cycle, total=total, peak=settings.learning_rate, warmup_fraction=WARMUP),
        methods,
        Computation("evaluation" if span.pinned else "batch"),
        span.train.trits,
    )
    batches = islice(training_batches(data, settings), span.steps.start, span.steps.stop)
    fit(learner, batches, span.steps.start, advance=advance)


def _masks(model: Model, positions: Positions) -> dict[str, Tensor]:
    """By name, which entries of the parameters that ``positions`` free are free."""
    masks = {}
    for layer, mask in positions.trits.items():
        masks[model.stage(layer).conv.weight] = mask
    for layer, channels in positions.affine.items():
        stage = model.stage(layer)
        assert isinstance(stage, ConvStage | ClassifierStage), f"{layer}: its affine entries cannot be trained"
        entries = (stage.norm.weight, stage.norm.bias) if isinstance(stage, ConvStage) else (stage.linear.bias,)
        masks |= dict.fromkeys(entries, channels)
    if positions.head:
        classifier = model.stage(model.topology.nodes[-1].name)
        masks |= {entry: torch.ones_like(entry, dtype=torch.bool) for entry in classifier.parameters()}
    return {name: masks[parameter] for name, parameter in model.named_parameters() if parameter in masks}


@torch.no_grad()
def _rewind(model: Model, base: State, keep: Masks) -> None:
    """Put the parameters that ``base`` names to its values, but for the entries to keep, masks by parameter."""
    for name, value in base.items():
        parameter = model.get_parameter(name)
        parameter.copy_(torch.where(keep[name], parameter, value) if name in keep else value)


def _facts(model: Model, deployed: Deployed, span: Span, train: Split, validation: Split) -> Facts:
    state, trits = _state(model), ternary_weights(model)
    return Facts(
        state,
        {layer: state[name] for layer, name in deployed.names.items()},
        {one.name: torch.from_numpy(trits[one.name] != one.weights) for one in deployed.network.ternary_layers()},
        lambda: right(_finished(copy.deepcopy(model), deployed, span, train), validation),
    )


def _finished(model: Model, deployed: Deployed, span: Span, train: Split) -> Network:
    """The network if a round ends with this span: what may not be sent is rewound in the model, too."""
    _rewind(model, {**deployed.state, **span.base}, _masks(model, span.sent))
    if not span.pinned:
        settle_statistics(model, train.images)
    return updated_network(model, deployed.network, span.sent, span.pinned)


def _state(model: Model) -> State:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
