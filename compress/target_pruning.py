"""Pruning to a target: which groups go is decided so that a network costs what is asked for.

The cost is cycles an image on the accelerator, or the groups themselves. The penalty's factor lambda is moved while
training so that the cost of the present groups follows a line down to the target. Before the last part of training the
groups that are left over are cut, and stay cut while the others adapt without any penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tritforge.compress.group_sparsity import Bitmaps, every_group, present_groups
from tritforge.compress.latency import StructureCycles, cycles_of_a_group
from tritforge.compress.models import Model
from tritforge.compress.recipe import Recipe
from tritforge.compress.weight_penalty_clipping import group_norms
from tritforge.errors import RecipeError
from tritforge.pe_groups import channels_per_group

BEGUN, REACHED = 0.1, 0.6
"""Fractions of training at which the line of costs leaves that of all groups and is down at the target."""
CUT = 0.8
"""Fraction of training after which groups are cut to the target; lambda is 0 from then on."""
CHECKS = 400
"""Times in a training at which lambda is moved."""
GAIN, DAMPING = 0.2, 3.0
"""Change of ln(lambda) at a check for a deviation from the line, and for the deviation's change since the check before;
both are parts of all cost that is to be saved."""
FARTHEST = 100.0
"""Lambda stays within this factor of the recipe's: where clipping leaves no group to pull, more of it only disturbs."""


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
        costs = weights or dict.fromkeys(every, 1.0)
        mean = sum(costs[name] * every[name].size for name in every) / sum(bitmap.size for bitmap in every.values())
        self.factors = {name: cost / mean for name, cost in costs.items()}
        self.penalty, self.cost, self.cut_groups = recipe.penalty, self._dense, 0
        self._begun, self._deviation = recipe.penalty, 0.0
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
            "kept": dict(self._kept),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.penalty, self.cost, self.cut_groups = (state[name] for name in ("penalty", "cost", "cut_groups"))
        self._deviation = state["deviation"]
        self._kept = {name: kept.to(self._model.zero_point.device) for name, kept in state["kept"].items()}

    @torch.no_grad()
    def look(self) -> float:
        """Work out the cost of the present groups."""
        self.cost = self._cost_of(present_groups(self._model, self._group_channels))
        return self.cost

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Cut groups stay cut; at some steps lambda moves, at one the cut is made."""
        if not self._kept and step >= CUT * self._steps:
            self._cut()
        for name, kept in self._kept.items():
            weight = self._model.ternary_layers()[name].weight
            per_group = channels_per_group(weight.shape[2], self._group_channels)
            weight.mul_(kept.repeat_interleave(per_group, dim=1)[:, : weight.shape[1], None, None])
        if not self._kept and step % max(1, self._steps // CHECKS) == 0:
            wanted = min(1.0, max(0.0, (step / self._steps - BEGUN) / (REACHED - BEGUN)))
            deviation = wanted - (self._dense - self.look()) / (self._dense - self._target)
            moved = self.penalty * math.exp(GAIN * deviation + DAMPING * (deviation - self._deviation))
            self.penalty = min(self._begun * FARTHEST, max(self._begun / FARTHEST, moved))
            self._deviation = deviation

    def _cut(self) -> None:
        """Keep as many groups as the target allows, the largest for what they cost; norms count within their layer."""
        present = present_groups(self._model, self._group_channels)
        scores, there = [], []
        for name, layer in self._model.ternary_layers().items():
            norms = group_norms(layer.weight, self._group_channels).cpu().double().numpy()
            scores.append((norms / max(norms.mean(), 1e-30) / max(self.factors[name], 1e-30)).ravel())
            there.append(present[name].ravel())
        # Zero groups come last: where the target leaves room for them, they may grow again.
        order = np.lexsort((-np.concatenate(scores), ~np.concatenate(there)))
        ends = np.cumsum([bitmap.size for bitmap in present.values()])[:-1]

        def keep(count: int) -> Bitmaps:
            chosen = np.zeros(len(order), dtype=np.bool_)
            chosen[order[:count]] = True
            parts = np.split(chosen, ends)
            return {name: part.reshape(present[name].shape) for name, part in zip(present, parts, strict=True)}

        fits, too_many = 0, len(order) + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self._cost_of(keep(middle)) <= self._target:
                fits = middle
            else:
                too_many = middle
        kept = keep(fits)
        self.cut_groups = sum(int((present[name] & ~kept[name]).sum()) for name in present)
        self._kept = {name: torch.from_numpy(bitmap).to(self._model.zero_point.device) for name, bitmap in kept.items()}
        self.penalty = 0.0
