"""Learning rates over a training; each is a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tritforge.compress.run.recipe import Recipe


def one_cycle(step: int, total: int, peak: float, warmup_fraction: float) -> float:
    """Learning rate of a step: a linear rise to ``peak``, then half a cosine down to 0."""
    warmup = warmup_fraction * total
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


def steps_down(step: int, total: int, start: float, milestones: Sequence[float], decay: float) -> float:
    """Learning rate of a step: ``start``, times ``decay`` from each milestone on, a fraction of all steps."""
    return start * decay ** sum(step >= milestone * total for milestone in milestones)


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Learning rate of a step under the recipe's schedule."""
    if recipe.schedule == "steps":
        return steps_down(step, total, recipe.learning_rate, recipe.milestones, recipe.decay)
    return one_cycle(step, total, recipe.learning_rate, recipe.warmup_fraction)
