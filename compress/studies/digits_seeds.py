"""The digits figures over several seeds, on the test part.

Every seed trains both precisions, exports, and updates after the recorded shift, with the recipes as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from tritforge.compress.data.sources import load_dataset
from tritforge.compress.run.recipe import load_recipe
from tritforge.compress.studies.demo_run import FLOAT_RECIPE, TERNARY_RECIPE, train_demo, update_demo
from tritforge.compress.studies.recorded_pieces import Pieces, record_pieces
from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policies import POLICIES
from tritforge.results import Result
from tritforge.samples.askew import RATIO

SEEDS = (0, 1, 2)
NAMES = (
    "full_precision_accuracy",
    "fake_quantised_accuracy",
    "integer_accuracy",
    "equal_argmax_fraction",
    "within_one_fraction",
    "zero_group_fraction",
    "updating_ratio",
    "patch_bytes",
    "full_update_bytes",
    "accuracy_before_patch",
    "accuracy_after_patch",
    "accuracy_full_retraining",
    "regained_fraction",
)


def measure(seed: int, runs: Path) -> dict[str, Any]:
    """Training, export and update of one seed; trainings in ``runs`` go on, or are used again."""
    trained = train_demo(seed, runs / f"seed{seed}")
    updated = update_demo(trained.network, trained.run_folder, trained.dataset, Budget("ratio", RATIO), seed=seed)
    figures = trained.metrics() | updated.figures.metrics()
    before, full = figures["accuracy_before_patch"], figures["accuracy_full_retraining"]
    regained = (figures["accuracy_after_patch"] - before) / (full - before) if full > before else 1.0
    return figures | {"regained_fraction": regained}


def over_seeds(pieces: Pieces) -> dict[str, Any]:
    """By name, the values of all seeds in order, and their mean."""
    values = {name: [piece[name] for piece in pieces.values()] for name in NAMES}
    return {name: {"values": own, "mean": fmean(own)} for name, own in values.items()}


def digits_seeds(
    path: str | Path,
    runs: str | Path,
    seeds: Sequence[int] = SEEDS,
    advance: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Measure every seed into the result file at ``path``; seeds that it holds are not measured again."""
    measurement = Result(
        "tritforge study digits-seeds",
        {},
        {
            "recipes": {name: load_recipe(name).to_toml() for name in (FLOAT_RECIPE, TERNARY_RECIPE)},
            "learning_rates": {name: POLICIES[name].settings.learning_rate for name in ("partial", "full")},
            "ratio": RATIO,
        },
        list(seeds),
        load_dataset("digits").digest(),
    )
    work = {f"seed {seed}": partial(measure, seed, Path(runs)) for seed in seeds}
    return record_pieces(path, measurement, work, over_seeds, advance)
