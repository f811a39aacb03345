"""Pruning to a target: which groups go is decided so that a network costs what is asked for.

The cost is cycles an image on the accelerator, or the groups themselves. The penalty's factor lambda is moved while
training so that the cost of the present groups follows a line down to the target; where the penalty alone lags behind,
the smallest groups are cut, and stay cut. In the last part of training the others adapt without any penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tritforge.compress.engine.method import Run
from tritforge.compress.methods.group_sparsity import Bitmaps, every_group, group_norms, present_groups
from tritforge.compress.methods.latency import StructureCycles, cycles_of_a_group
from tritforge.compress.methods.settings import Settings
from tritforge.compress.methods.weight_penalty_clipping import Steering, WeightPenaltyClipping
from tritforge.compress.run.keys import key
from tritforge.errors import RecipeError
from tritforge.network.pe_groups import channels_per_group

BEGUN, REACHED = 0.1, 0.6
"""Fractions of training at which the line of costs leaves that of all groups and is down at the target."""
LAG = 0.05
"""How far behind the line, in parts of all cost that is to be saved, the smallest groups are cut."""
SETTLED = 0.8
"""Fraction of training after which the structure is that of the target; lambda is 0 from then on."""
CHECKS = 400
"""Times in a training at which lambda is moved."""
GAIN, DAMPING = 0.2, 3.0
"""Change of ln(lambda) at a check for a deviation from the line, and for the deviation's change since the check before;
both are parts of all cost that is to be saved."""
FARTHEST = 2.0
"""Lambda stays within this factor of the recipe's: more of it disturbs the groups that stay, and laggards are cut."""


@dataclass(frozen=True)
class TargetPruningSettings(Settings):
    """The recipe's target, one of two.

    Attributes:
        cycles: an image on the accelerator; 0 for no such target.
        weighting: whether a layer's penalty is weighted by the ``cycles`` of its groups, or all are ``uniform``.
        zero_groups: part of the grouped layers' groups; 0 for no such target.
    """

    table = "target_pruning"

    cycles: float = key(0.0, at_least=0)
    weighting: str = key("cycles", one_of=("cycles", "uniform"))
    zero_groups: float = key(0.0, at_least=0, below=1)

    def method(self) -> TargetPruning | None:
        if self.cycles > 0 and self.zero_groups > 0:
            raise RecipeError(
                "target_pruning.cycles and target_pruning.zero_groups are both above 0; a training can have one of them"
            )
        return TargetPruning(self) if self.cycles > 0 or self.zero_groups > 0 else None

    def name_parts(self) -> list[str]:
        cycles = [f"t{self.cycles:g}_{self.weighting}"] if self.cycles > 0 else []
        return [*cycles, f"z{self.zero_groups:g}"] if self.zero_groups > 0 else cycles

    def setting(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.cycles > 0:
            told |= {"latency_target": self.cycles, "latency_weighting": self.weighting}
        if self.zero_groups > 0:
            told["zero_group_target"] = self.zero_groups
        return told


@dataclass(frozen=True, eq=False)
class Goal:
    """What a structure is to cost.

    Attributes:
        cost_of: the cost of a structure.
        target: what it is to come down to, below the cost of every group.
        every: the structure with every group.
        weights: by grouped layer, how willingly one of its groups is given up.
    """

    cost_of: Callable[[Bitmaps], float]
    target: float
    every: Bitmaps
    weights: Mapping[str, float]


def group_goal(run: Run, zero_groups: float) -> Goal:
    """A part of the groups is to be zero. Groups of filters that have many are given up more willingly."""
    every = every_group(run.model, run.group_channels)
    # A group is one of G that make up a filter: the fewer, the more of its channel is lost with it.
    groups_of_a_filter = {name: float(bitmap.shape[1]) for name, bitmap in every.items()}
    return Goal(_count, (1 - zero_groups) * _count(every), every, groups_of_a_filter)


def latency_goal(run: Run, cycles: float, weighting: str) -> Goal:
    """An image is to take so many cycles.

    Raises:
        RecipeError: cycles out of reach, or a model that is not exported.
    """
    structure = StructureCycles(run.model, run.group_channels)
    every = structure.every_group
    dense = structure(every)
    least = structure({name: np.zeros_like(bitmap) for name, bitmap in every.items()})
    if not least <= cycles < dense:
        raise RecipeError(
            f"target_pruning.cycles is {cycles:g}; this network takes from {math.ceil(least):,} cycles an "
            f"image with every group empty to {math.floor(dense):,} with none"
        )
    alike = dict.fromkeys(every, 1.0)
    return Goal(structure, cycles, every, cycles_of_a_group(structure) if weighting == "cycles" else alike)


def most_within(cost_at: Callable[[int], float], limit: float, least: float, whole: tuple[int, float]) -> int:
    """How many things can be had at a cost.

    A cost may take long to work out, so that the next number to try is interpolated from the two that enclose the
    answer. Where that twice took off less than half of what lies between them, the next one is the middle.

    Args:
        cost_at: the cost of a number of things, which does not fall as the number rises.
        limit: the cost that must not be exceeded.
        least: about the cost of none; only how fast the answer is found depends on it.
        whole: the number of all things and their cost.

    Returns:
        The largest number above 0 that costs ``limit`` at most; 0 where there is none.
    """
    (too_many, high), (fits, low) = whole, (0, least)
    if high <= limit:
        return too_many
    slow = 0
    while (between := too_many - fits) > 1:
        part = 0.5 if slow == 2 or high <= low else min(1.0, max(0.0, (limit - low) / (high - low)))
        tried = min(too_many - 1, max(fits + 1, fits + int(part * between)))
        cost = cost_at(tried)
        if cost <= limit:
            fits, low = tried, cost
        else:
            too_many, high = tried, cost
        slow = slow + 1 if slow < 2 and 2 * (too_many - fits) > between else 0
    return fits


def _count(bitmaps: Bitmaps) -> float:
    return float(sum(int(bitmap.sum()) for bitmap in bitmaps.values()))


class TargetPruning(Steering):
    """Lambda and the cut groups on the way to a target; lambda begins at the penalty of the recipe.

    Attributes:
        factors: by grouped layer, what its penalty is multiplied with; 1 in the mean over groups.
        level: lambda; see :attr:`strength`.
        cost: of the groups present at the last look.
        cut_groups: non-zero groups that were cut.
    """

    def __init__(self, settings: TargetPruningSettings) -> None:
        self.settings = settings

    def begin(self, run: Run) -> None:
        clipping = run.other(WeightPenaltyClipping)
        if clipping is None:
            target = "cycles" if self.settings.cycles > 0 else "zero_groups"
            raise RecipeError(
                f"target_pruning.{target} needs a weight_penalty_clipping.penalty above 0, the lambda it begins with"
            )
        if self.settings.cycles > 0:
            goal = latency_goal(run, self.settings.cycles, self.settings.weighting)
        else:
            goal = group_goal(run, self.settings.zero_groups)
        self._model, self._group_channels, self._steps = run.model, run.group_channels, run.steps
        self._cost_of, self._target, every = goal.cost_of, goal.target, goal.every
        self._dense = goal.cost_of(every)
        self._least = goal.cost_of({name: np.zeros_like(bitmap) for name, bitmap in every.items()})
        groups = sum(bitmap.size for bitmap in every.values())
        mean = sum(goal.weights[name] * every[name].size for name in every) / groups
        self.factors = {name: weight / mean for name, weight in goal.weights.items()}
        self._begun = self.level = clipping.settings.penalty
        self.cost, self.cut_groups = self._dense, 0
        self._deviation, self._settled = 0.0, False
        self._shapes = {name: bitmap.shape for name, bitmap in every.items()}
        self._kept: dict[str, Tensor] = {}

    @property
    def strength(self) -> float:
        """What the penalty counts with now: lambda, or 0 where the cost is on the line or below it.

        A group that is empty seldom returns, so that what is pulled too far stays there.
        """
        return self.level if self._deviation > 0 else 0.0

    def state(self) -> dict[str, Any]:
        return {
            "penalty": self.level,
            "cost": self.cost,
            "cut_groups": self.cut_groups,
            "deviation": self._deviation,
            "settled": self._settled,
            "kept": dict(self._kept),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.level, self.cost, self.cut_groups = (state[name] for name in ("penalty", "cost", "cut_groups"))
        self._deviation, self._settled = state["deviation"], state["settled"]
        self._kept = {name: kept.to(self._model.zero_point.device) for name, kept in state["kept"].items()}

    def figures(self) -> dict[str, float]:
        return {"lambda": self.level} | ({"cycles": self.look()} if self.settings.cycles > 0 else {})

    def summary(self) -> dict[str, Any]:
        cycles = {"predicted_cycles": self.look()} if self.settings.cycles > 0 else {}
        return {**cycles, "cut_groups": self.cut_groups}

    @torch.no_grad()
    def look(self) -> float:
        """Work out the cost of the present groups."""
        self.cost = self._cost_of(present_groups(self._model, self._group_channels))
        return self.cost

    @torch.no_grad()
    def after_step(self, done: int) -> None:
        """Cut groups stay cut; at some steps lambda moves and laggards are cut, at one the structure is settled."""
        self._hold()  # before anything is looked at: the step has moved the weights of cut groups too
        if not self._settled:
            if done >= SETTLED * self._steps:
                self._settle()
            elif done % max(1, self._steps // CHECKS) == 0:
                self._check(done / self._steps)

    def _hold(self) -> None:
        """Set the weights of cut groups to zero."""
        for name, kept in self._kept.items():
            weight = self._model.ternary_layers()[name].weight
            per_group = channels_per_group(weight.shape[2], self._group_channels)
            weight.mul_(kept.repeat_interleave(per_group, dim=1)[:, : weight.shape[1], None, None])

    def _check(self, done: float) -> None:
        """Compare with the line, after a part of the training."""
        to_save = self._dense - self._target
        wanted = min(1.0, max(0.0, (done - BEGUN) / (REACHED - BEGUN)))
        deviation = wanted - (self._dense - self.look()) / to_save
        moved = self.level * math.exp(GAIN * deviation + DAMPING * (deviation - self._deviation))
        self.level = min(self._begun * FARTHEST, max(self._begun / FARTHEST, moved))
        self._deviation = deviation
        if deviation > LAG:
            there, order = self._by_worth()
            fits = self._most(order[: int(there.sum())], self._dense - (wanted - LAG) * to_save, self.cost)
            self._keep(~there | self._chosen(order[:fits]), there)
            self._deviation = LAG

    def _settle(self) -> None:
        there, order = self._by_worth()
        self._keep(self._chosen(order[: self._most(order, self._target)]), there)
        self.level, self._settled = 0.0, True

    def _by_worth(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which groups of all layers are present, and the places of those not cut: first the largest for their cost.

        Norms count within their layer. Zero groups come last: where the target leaves room for them, they may grow.
        """
        present = present_groups(self._model, self._group_channels)
        scores = []
        for name, layer in self._model.ternary_layers().items():
            norms = group_norms(layer.weight, self._group_channels).cpu().double().numpy()
            scores.append((norms / max(norms.mean(), 1e-30) / max(self.factors[name], 1e-30)).ravel())
        there = np.concatenate([present[name].ravel() for name in self._shapes])
        order = np.lexsort((-np.concatenate(scores), ~there))
        if self._kept:
            kept = np.concatenate([self._kept[name].cpu().numpy().ravel() for name in self._shapes])
            order = order[kept[order]]
        return there, order

    def _most(self, order: NDArray[np.int64], limit: float, whole: float | None = None) -> int:
        """How many groups, from the first, a structure can have at a cost; ``whole`` is that of all, where known."""

        def cost_at(count: int) -> float:
            return self._cost_of(self._bitmaps(self._chosen(order[:count])))

        whole = cost_at(len(order)) if whole is None else whole
        return most_within(cost_at, limit, self._least, (len(order), whole))

    def _keep(self, kept: NDArray[np.bool_], there: NDArray[np.bool_]) -> None:
        """Cut the other groups, beside those that were cut before."""
        self.cut_groups += int((there & ~kept).sum())
        device = self._model.zero_point.device
        for name, bitmap in self._bitmaps(kept).items():
            mask = torch.from_numpy(bitmap).to(device)
            self._kept[name] = mask & self._kept[name] if name in self._kept else mask
        self._hold()

    def _chosen(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        chosen = np.zeros(sum(math.prod(shape) for shape in self._shapes.values()), dtype=np.bool_)
        chosen[places] = True
        return chosen

    def _bitmaps(self, groups: NDArray[np.bool_]) -> Bitmaps:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])[:-1]
        parts = np.split(groups, ends)
        return {name: part.reshape(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
