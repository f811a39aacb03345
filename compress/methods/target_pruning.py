"""Pruning to a target: which groups go is decided so that a network costs what is asked for.

The cost is cycles an image on the accelerator, or the groups themselves. The penalty's factor lambda is moved while
training so that the cost of the present groups follows a line down to the target; where the penalty alone lags behind,
the smallest groups are cut, and stay cut. In the last part of training the others adapt without any penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tritforge.compress.methods.group_sparsity import Bitmaps, every_group, present_groups
from tritforge.compress.methods.latency import StructureCycles, cycles_of_a_group
from tritforge.compress.methods.weight_penalty_clipping import group_norms
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import Recipe
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


def target_pruning(recipe: Recipe, model: Model, steps: int) -> TargetPruning | None:
    """The pruning to the recipe's target; None where it names none.

    Args:
        recipe: with ``latency_target`` or ``zero_group_target`` above 0, or neither.
        model: as initialised.
        steps: of the whole training.

    Raises:
        RecipeError: both targets, a target out of reach, no penalty to begin with, or a latency of a model that is not
            exported.
    """
    if recipe.latency_target > 0 and recipe.zero_group_target > 0:
        raise RecipeError("latency_target and zero_group_target are both above 0; a training can have one of them")
    for name in ("latency_target", "zero_group_target"):
        if getattr(recipe, name) > 0 and recipe.penalty == 0:
            raise RecipeError(f"{name} needs a penalty above 0, the lambda that it begins with")
    if recipe.latency_target > 0:
        return _to_latency(recipe, model, steps)
    if recipe.zero_group_target > 0:
        every = every_group(model, recipe.group_channels)
        target = (1 - recipe.zero_group_target) * _count(every)
        # A group is one of G that make up a filter: the fewer, the more of its channel is lost with it.
        groups_of_a_filter = {name: float(bitmap.shape[1]) for name, bitmap in every.items()}
        return TargetPruning(recipe, model, steps, _count, target, every, groups_of_a_filter)
    return None


def _to_latency(recipe: Recipe, model: Model, steps: int) -> TargetPruning:
    structure = StructureCycles(model, recipe.group_channels)
    every = structure.every_group
    dense = structure(every)
    least = structure({name: np.zeros_like(bitmap) for name, bitmap in every.items()})
    if not least <= recipe.latency_target < dense:
        raise RecipeError(
            f"latency_target is {recipe.latency_target:g}; this network takes from {math.ceil(least):,} cycles an "
            f"image with every group empty to {math.floor(dense):,} with none"
        )
    weights = cycles_of_a_group(structure) if recipe.latency_weighting == "cycles" else None
    return TargetPruning(recipe, model, steps, structure, recipe.latency_target, every, weights)


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


class TargetPruning:
    """What a run with a target keeps beside its weights.

    Attributes:
        factors: by grouped layer, what its penalty is multiplied with; 1 in the mean over groups.
        penalty: lambda; see :attr:`strength`.
        cost: of the groups present at the last look.
        cut_groups: non-zero groups that were cut.

    Args:
        recipe: lambda to begin with and ``group_channels``.
        model: as initialised.
        steps: of the whole training.
        cost_of: the cost of a structure.
        target: what it is to come down to, below the cost of every group.
        every: the structure with every group.
        weights: by grouped layer, how willingly one of its groups is given up; alike by default.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Model,
        steps: int,
        cost_of: Callable[[Bitmaps], float],
        target: float,
        every: Bitmaps,
        weights: dict[str, float] | None = None,
    ) -> None:
        self._model, self._group_channels = model, recipe.group_channels
        self._cost_of, self._target, self._steps = cost_of, target, steps
        self._dense = cost_of(every)
        self._least = cost_of({name: np.zeros_like(bitmap) for name, bitmap in every.items()})
        costs = weights or dict.fromkeys(every, 1.0)
        mean = sum(costs[name] * every[name].size for name in every) / sum(bitmap.size for bitmap in every.values())
        self.factors = {name: cost / mean for name, cost in costs.items()}
        self.penalty, self.cost, self.cut_groups = recipe.penalty, self._dense, 0
        self._begun, self._deviation = recipe.penalty, 0.0
        self._settled = False
        self._shapes = {name: bitmap.shape for name, bitmap in every.items()}
        self._kept: dict[str, Tensor] = {}

    @property
    def strength(self) -> float:
        """What the penalty counts with now: lambda, or 0 where the cost is on the line or below it.

        A group that is empty seldom returns, so that what is pulled too far stays there.
        """
        return self.penalty if self._deviation > 0 else 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "penalty": self.penalty,
            "cost": self.cost,
            "cut_groups": self.cut_groups,
            "deviation": self._deviation,
            "settled": self._settled,
            "kept": dict(self._kept),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.penalty, self.cost, self.cut_groups = (state[name] for name in ("penalty", "cost", "cut_groups"))
        self._deviation, self._settled = state["deviation"], state["settled"]
        self._kept = {name: kept.to(self._model.zero_point.device) for name, kept in state["kept"].items()}

    @torch.no_grad()
    def look(self) -> float:
        """Work out the cost of the present groups."""
        self.cost = self._cost_of(present_groups(self._model, self._group_channels))
        return self.cost

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Cut groups stay cut; at some steps lambda moves and laggards are cut, at one the structure is settled."""
        self._hold()  # before anything is looked at: the step has moved the weights of cut groups too
        if not self._settled:
            if step >= SETTLED * self._steps:
                self._settle()
            elif step % max(1, self._steps // CHECKS) == 0:
                self._check(step / self._steps)

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
        moved = self.penalty * math.exp(GAIN * deviation + DAMPING * (deviation - self._deviation))
        self.penalty = min(self._begun * FARTHEST, max(self._begun / FARTHEST, moved))
        self._deviation = deviation
        if deviation > LAG:
            there, order = self._by_worth()
            fits = self._most(order[: int(there.sum())], self._dense - (wanted - LAG) * to_save, self.cost)
            self._keep(~there | self._chosen(order[:fits]), there)
            self._deviation = LAG

    def _settle(self) -> None:
        there, order = self._by_worth()
        self._keep(self._chosen(order[: self._most(order, self._target)]), there)
        self.penalty, self._settled = 0.0, True

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
