"""Seconds of an optimiser step: full precision, ternary with penalty, and ternary with 8-bit activations, in one run.

The kinds take turns, so that whatever else the machine does falls on all of them alike; medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from tritforge.compress.engine.step import Batch, Computation, Learner
from tritforge.compress.methods.chosen import begun_methods
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.training.train import make_optimizer
from tritforge.samples.resnet_network import IMAGE, IMAGE_ZERO

CLASSES = 10
WARM_UP = 2
"""Rounds that are not timed."""
UNFUSED = "_unfused"
"""What the kinds end in that stand beside the fused ones."""


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of the timed steps of each kind.

    Attributes:
        seconds: by kind, of every step: ``plain`` is full precision, no penalty; ``ternary`` has ternary weights and
            their penalty, end layers and activations in floating point; ``ternary_a8`` is the same with 8-bit
            activations and 8-bit end layers, as it is exported. The same with ``_unfused``, where steps are fused.
    """

    seconds: dict[str, list[float]]

    def ratio(self, kind: str, base: str) -> float:
        """Median of one kind over that of another."""
        return statistics.median(self.seconds[kind]) / statistics.median(self.seconds[base])

    def figures(self) -> dict[str, float]:
        """Median, fastest and slowest of each kind, the bounded ratios, and what fused steps take of unfused ones."""
        told = {}
        for kind, times in self.seconds.items():
            told[f"{kind}_step_seconds"] = statistics.median(times)
            told |= {f"{kind}_step_seconds_fastest": min(times), f"{kind}_step_seconds_slowest": max(times)}
        told |= {"ratio": self.ratio("ternary", "plain"), "ratio_a8": self.ratio("ternary_a8", "plain")}
        fused = [kind for kind in self.seconds if kind + UNFUSED in self.seconds]
        return told | {f"fused_ratio_{kind}": self.ratio(kind, kind + UNFUSED) for kind in fused}


def step_recipes(
    topology: str, batch_size: int, threads: int, bfloat16: bool, channels_last: bool, fused: bool
) -> dict[str, Recipe]:
    """The recipes whose steps are compared, by kind."""
    plain = Recipe(
        topology=topology,
        precision="float",
        batch_size=batch_size,
        weight_decay=5e-4,
        threads=threads,
        bfloat16=bfloat16,
        channels_last=channels_last,
        fused=fused,
    )
    a8 = with_settings(replace(plain, precision="ternary"), WeightPenaltyClippingSettings(5e-4, 1.2))
    kinds = {"plain": plain, "ternary": replace(a8, end_layers="float", activation_bits=32), "ternary_a8": a8}
    if not fused:
        return kinds
    return kinds | {f"{kind}{UNFUSED}": replace(recipe, fused=False) for kind, recipe in kinds.items()}


def learner_of(recipe: Recipe) -> Learner:
    """A fresh model of the recipe that learns at one rate, with the recipe's methods."""
    model = build_model(recipe, IMAGE, CLASSES, IMAGE_ZERO)
    methods = begun_methods(recipe, model, 1)
    optimizer = make_optimizer(recipe, model)
    return Learner(model, optimizer, lambda step: recipe.learning_rate, methods, Computation.of(recipe))


def bench_steps(
    recipes: dict[str, Recipe],
    repeats: int = 15,
    *,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> StepSeconds:
    """Time steps on random images ``(batch_size, 3, 32, 32)`` on the CPU, ``repeats`` of each kind.

    Args:
        recipes: of :func:`step_recipes`; their threads and batch size are the same.
        advance: called with the number of steps just done, of ``WARM_UP + repeats`` of each kind.

    Raises:
        RecipeError: a topology that there is not.
        KernelError: fused steps without a C++ compiler.
    """
    first = next(iter(recipes.values()))
    torch.set_num_threads(first.threads)
    torch.manual_seed(seed)
    images = torch.randint(0, 256, (first.batch_size, *IMAGE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (first.batch_size,))
    learners = {kind: learner_of(recipe) for kind, recipe in recipes.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in recipes}
    for turn in range(WARM_UP + repeats):
        for kind, learner in learners.items():
            began = time.perf_counter()
            learner.take_step(turn, Batch(images, labels))
            if turn >= WARM_UP:
                seconds[kind].append(time.perf_counter() - began)
            if advance is not None:
                advance(1)
    return StepSeconds(seconds)
