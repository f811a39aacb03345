"""Selection of λ and *a* of ``digits_ternary`` on hold-outs of the training part.

The test part is dropped before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from tritforge.compress.data.dataset import Dataset, Split, hold_out, join
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.engine.batches import steps_per_epoch
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.run.recipe import Recipe, load_recipe
from tritforge.compress.studies.recorded_pieces import Pieces, record_pieces
from tritforge.compress.training.train import train
from tritforge.results import Result

RECIPE = "digits_ternary"
CANDIDATES = ((0.003, 1.4), (0.004, 1.4), (0.004, 1.6), (0.004, 1.8), (0.006, 1.6))
"""Pairs of λ and *a*."""
SEEDS = (0, 1, 2)
"""Each seed draws a hold-out and trains on the rest."""
HELD_OUT = 0.2
MEANS = ("validation_accuracy", "zero_group_fraction")
LEAST_ZERO_GROUPS = 0.52
RULE = (
    f"among the candidates with a mean zero-group fraction of at least {LEAST_ZERO_GROUPS}, "
    "the one with the highest mean validation accuracy; of equal ones the sparser"
)


def without_test(data: Dataset) -> Dataset:
    """The data set with an empty test part: what a selection works on."""
    return replace(data, test=Split(data.test.images[:0], data.test.labels[:0]))


def held_out(data: Dataset, seed: int) -> Dataset:
    """All training and validation images, split anew; no test part."""
    train_part, validation = hold_out(join(data.train, data.validation), HELD_OUT, seed)
    return replace(without_test(data), train=train_part, validation=validation)


def with_equal_steps(recipe: Recipe, usual: Dataset, data: Dataset) -> Recipe:
    """The recipe with as many epochs on ``data`` as give it the optimiser steps that it takes on its usual data."""
    steps = recipe.epochs * steps_per_epoch(recipe, usual)
    return replace(recipe, epochs=round(steps / steps_per_epoch(recipe, data)))


def measure(penalty: float, clipping: float, seed: int, runs: Path) -> dict[str, Any]:
    """Train one candidate on one hold-out; a training that was interrupted goes on."""
    recipe = load_recipe(RECIPE, [f"seed={seed}"])
    recipe = with_settings(recipe, WeightPenaltyClippingSettings(penalty, clipping))
    usual = load_dataset(recipe.dataset, recipe.data_folder, recipe.validation_fraction)
    data = held_out(usual, seed)
    recipe = with_equal_steps(recipe, usual, data)
    done = train(recipe, runs / f"penalty{penalty}-clipping{clipping}-seed{seed}", dataset=data)
    return {
        "penalty": penalty,
        "clipping": clipping,
        "seed": seed,
        "validation_accuracy": done.validation_accuracy,
        "validation_images": len(data.validation),
        "zero_group_fraction": done.zero_group_fraction,
    }


def choose(pieces: Pieces) -> dict[str, Any]:
    """Means of every candidate, and the one that ``RULE`` chooses (None if none is sparse enough)."""
    candidates = []
    for penalty, clipping in dict.fromkeys((piece["penalty"], piece["clipping"]) for piece in pieces.values()):
        own = [piece for piece in pieces.values() if (piece["penalty"], piece["clipping"]) == (penalty, clipping)]
        means = {name: round(fmean(piece[name] for piece in own), 6) for name in MEANS}
        candidates.append({"penalty": penalty, "clipping": clipping, **means})
    sparse = [candidate for candidate in candidates if candidate["zero_group_fraction"] >= LEAST_ZERO_GROUPS]
    best = max(sparse, key=lambda one: (one["validation_accuracy"], one["zero_group_fraction"]), default=None)
    return {"rule": RULE, "candidates": candidates, "chosen": best}


def select(
    path: str | Path,
    runs: str | Path,
    candidates: Sequence[tuple[float, float]] = CANDIDATES,
    seeds: Sequence[int] = SEEDS,
    advance: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Measure every candidate on every hold-out, and choose.

    Args:
        path: result file; pieces that it holds are not measured again.
        runs: folder of the run folders.
        candidates: pairs of λ and *a*.
        seeds: of hold-outs and trainings.
        advance: called with 1 for each piece.
    """
    measurement = Result(
        "tritforge study digits-penalty",
        {},
        {"recipe": RECIPE, "candidates": [list(pair) for pair in candidates], "held_out_fraction": HELD_OUT},
        list(seeds),
        without_test(load_dataset("digits")).digest(),
    )
    work = {
        f"penalty {penalty}, clipping {clipping}, seed {seed}": partial(measure, penalty, clipping, seed, Path(runs))
        for seed in seeds
        for penalty, clipping in candidates
    }
    return record_pieces(path, measurement, work, choose, advance)
