"""Made-up records of training runs, of the form that real ones have, for tests of tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tritforge.compress.experiments.plan import run_name, setting
from tritforge.compress.experiments.recorded_runs import COMMAND
from tritforge.compress.run.recipe import Recipe
from tritforge.results import Result

WIDTHS = (16, 32, 64)
GROUPS = {"full precision": 0.0, "ternary": 0.002, "pruning": 0.4, "naive": 0.08, "clipped": 0.3}
LOST = {"full precision": 0.0, "ternary": 0.3, "pruning": 1.0, "naive": 1.6, "clipped": 1.1}


def made_up(recipe: Recipe, dataset: str = "cifar10_jpeg") -> dict[str, Any]:
    """Metrics of a run that nobody trained; the same recipe gives the same."""
    draw = np.random.default_rng(list(run_name(recipe).encode()))
    known = setting(recipe)
    method = known["method"]
    strength = math.log2(known["penalty"] / 5e-4) if known["penalty"] else 0.0
    groups = known.get("zero_group_target") or min(0.9, GROUPS[method] * 1.5**strength)
    top1 = 88.0 - LOST[method] * 1.4**strength + float(draw.normal(0, 0.1))
    epochs = list(range(1, recipe.epochs + 1))
    layers = [f"stage{stage}.block{block}.conv{conv}" for stage in (1, 2, 3) for block in (1, 2, 3) for conv in (1, 2)]
    history: dict[str, list[float]] = {"epoch": [*epochs], "zero_group_fraction": []}
    history["zero_group_fraction"] = [round(groups * (1 - math.exp(-epoch / 5)), 4) for epoch in epochs]
    for index, layer in enumerate(layers):
        if method == "clipped":
            history[f"delta.{layer}"] = [round((2 - index / 15) / (1 + 0.1 * epoch), 4) for epoch in epochs]
        history[f"zero_groups.{layer}"] = [
            round(groups * (1 - math.exp(-epoch / 5)) * (0.2 + index / 12), 4) for epoch in epochs
        ]
    histograms, deviation = {}, {"full precision": 0.3, "ternary": 0.3, "pruning": 0.1, "naive": 0.2}.get(method, 0.28)
    for stage, width in enumerate(WIDTHS, start=1):
        reach = round(4 * math.sqrt(2 / (9 * width)), 4)
        values = np.clip(draw.normal(0, deviation * reach, 9 * width * width), -reach, reach)
        counts = np.histogram(values, 81, (-reach, reach))[0].tolist()
        figures = {"mean": float(values.mean()), "std": float(values.std()), "reach": reach, "counts": counts}
        histograms[f"stage{stage}.block1.conv2"] = figures
    spread = 0.5 if method == "clipped" else 0.15
    norms = {
        name: np.sort(np.abs(draw.normal(0.8, spread, count))).round(4).tolist()
        for name, count in (("stage2.block1.conv1", 32), ("stage3.block1.conv2", 256))
    }
    metrics = known | {
        "dataset": dataset,
        "seed": recipe.seed,
        "zero_group_fraction": groups,
        "zero_fraction": groups + 0.3 if method != "full precision" else 0.0,
        "compression": 32 / ((1 - groups) * (2 if recipe.precision == "ternary" else 32)),
        "history": history,
        "histograms": histograms,
        "group_norms": norms,
        "trits": {},
        **({"cut_groups": 7} if "zero_group_target" in known else {}),
    }
    if recipe.precision == "ternary":
        metrics["trits"] = {
            name: [
                "0" * 144 if draw.random() < groups else "".join(draw.choice(list("0+-"), 144)) for _ in range(outputs)
            ]
            for name, outputs in (("stage1.block1.conv1", 16), ("stage2.block1.conv1", 32))
        }
    if recipe.validation_fraction:
        return metrics | {"validation_accuracy": top1 - 3}
    if known["activations"] < 32 and known["end_layers"] == "integer8":
        metrics |= {"integer_top1": top1 - 0.05, "predicted_cycles": round(19635 * (1 - groups))}
    return metrics | {"top1": top1}


def made_up_results(recipes: Iterable[Recipe], dataset: str = "cifar10_jpeg") -> dict[str, Result]:
    """By name of the run, a record of each."""
    return {
        run_name(recipe): Result(
            COMMAND, made_up(recipe, dataset), {"run": run_name(recipe), "recipe": recipe.to_toml()}, [recipe.seed]
        )
        for recipe in recipes
    }
