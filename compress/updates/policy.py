"""The interface of update policies: which positions of a deployed network may change.

A policy is a generator of *spans*. It yields what the next steps train and what may be sent, receives what those steps
left behind, and yields again until it is done::

    def spans(self, deployed, budget):
        gathering = LocalContributions()
        facts = yield Span(everything, range(deployed.steps), methods={"contributions": gathering})
        picked = ...                                     # by facts.weights, gathering.gathered and the budget
        yield Span(picked, range(deployed.steps), base=deployed.state)

All else is the round's (:mod:`tritforge.compress.updates.round`): it trains, rewinds, exports, holds the result against
what was freed, judges it on validation images and makes the patch. A policy draws from generators of its own, seeded
by ``deployed.settings.seed``, so that an update repeats bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tritforge.compress.engine.method import Method
from tritforge.compress.updates.budget import Budget, Unit
from tritforge.compress.updates.positions import Masks, Positions, StoredTrits
from tritforge.network.network import Network

State = Mapping[str, Tensor]
"""Values of a model's parameters by name; latent weights among them."""


@dataclass(frozen=True)
class UpdateSettings:
    """How an update trains; all spans alike.

    Attributes:
        epochs: passes over the data in one training; a policy takes one training or several.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule of a training.
        momentum: of SGD.
        seed: of the order of the data, and of what a policy draws.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 5e-4
    momentum: float = 0.9
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Deployed:
    """What an update starts from.

    Attributes:
        network: the deployed network.
        state: the parameters of its model.
        names: by ternary layer, the name of its weights in ``state``.
        trits: its stored trits in one row, which a budget chooses from.
        settings: how to train.
        steps: optimiser steps of a training.
    """

    network: Network
    state: State
    names: Mapping[str, str]
    trits: StoredTrits
    settings: UpdateSettings
    steps: int

    @property
    def weights(self) -> Masks:
        """Latent weights ``(N, C, K, K)`` by ternary layer, which ``state`` holds too."""
        return {layer: self.state[name] for layer, name in self.names.items()}


@dataclass(frozen=True, eq=False)
class Span:
    """Steps that train some positions, with the optimiser's state and nothing else begun anew.

    Attributes:
        train: what the steps may move.
        steps: which steps of a training they are: they have its learning rates and its batches.
        send: what may differ from the deployed network if the round ends here; by default what is trained.
        base: where parameters stand that are not trained; the ones that it does not name stay where they are. Before
            its first span everything stands at the base, or else as deployed. In later ones what is trained goes on
            from where it stands.
        fresh: what is trained starts at the base too, in a later span.
        pinned: thresholds, scales, batch-norm statistics and activation scales stay as they are. Otherwise thresholds,
            scales and statistics follow the weights, which moves every affine entry.
        total: steps of the training that ``steps`` are a part of; by default they end it.
        methods: that act on the training, by name; what they gather is the policy's to read.
    """

    train: Positions
    steps: range
    send: Positions | None = None
    base: State = field(default_factory=dict)
    fresh: bool = False
    pinned: bool = True
    total: int | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)

    @property
    def sent(self) -> Positions:
        """``send``, or what is trained."""
        return self.train if self.send is None else self.send


@dataclass(frozen=True, eq=False)
class Facts:
    """What a span left behind; gradients and contributions are gathered by the span's methods.

    Attributes:
        state: the parameters at its end.
        weights: latent weights ``(N, C, K, K)`` by ternary layer, which ``state`` holds too.
        differs: by ternary layer, the trits that differ from the deployed ones, ``(N, C, K, K)`` bool.
        validation: gives the percent of the validation images that the network gets right which would be sent now.
    """

    state: State
    weights: Mapping[str, Tensor]
    differs: Masks
    validation: Callable[[], float]


class Policy(Protocol):
    """Which positions may change, for which budget.

    Attributes:
        settings: how it trains unless told otherwise.
        trainings: how many trainings it takes in all, for the progress display.
        units: of the budgets that it goes by; a policy without any is given none.
    """

    settings: UpdateSettings
    trainings: int
    units: tuple[Unit, ...]

    def spans(self, deployed: Deployed, budget: Budget | None) -> Generator[Span, Facts, None]:
        """Yield spans, at least one, and receive their facts; the last one yielded says what is sent."""
        ...
