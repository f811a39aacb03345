"""Made-up records of training runs, of the form that real ones have, for tests of tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tritforge.compress.experiments.plan import run_name, setting
from tritforge.compress.run.recipe import Recipe
from tritforge.records.history import Column, History
from tritforge.records.layers import LayerFigures
from tritforge.records.setting import FLOAT_BITS, Setting
from tritforge.records.training_record import Histogram, TrainingRecord
from tritforge.results import Result

WIDTHS = (16, 32, 64)
GROUPS = {"full precision": 0.0, "ternary": 0.002, "pruning": 0.4, "naive": 0.08, "clipped": 0.3}
LOST = {"full precision": 0.0, "ternary": 0.3, "pruning": 1.0, "naive": 1.6, "clipped": 1.1}
PLACES = [(stage, block, f"conv{conv}") for stage in (1, 2, 3) for block in (1, 2, 3) for conv in (1, 2)]
LAYERS = [f"stage{stage}.block{block}.{role}" for stage, block, role in PLACES]
STAGES, BLOCKS, ROLES = zip(*PLACES, strict=True)


def empty_record(told: Setting, seed: int = 0) -> TrainingRecord:
    """A record of which nothing was measured."""
    return TrainingRecord(
        run="",
        recipe="",
        setting=told,
        dataset="cifar10_jpeg",
        seed=seed,
        zero_group_fraction=0.0,
        zero_fraction=0.0,
        compression=None,
        train_images=50000,
        weights_digest="",
        history=History((), {"zero_group_fraction": ()}),
        layers=LayerFigures(),
        histograms={},
        group_norms={},
        trits={},
        data_digest="",
        seconds=0.0,
    )


def made_up(recipe: Recipe, dataset: str = "cifar10_jpeg") -> TrainingRecord:
    """The record of a run that nobody trained; the same recipe gives the same."""
    draw = np.random.default_rng(list(run_name(recipe).encode()))
    known = setting(recipe)
    method = known.method
    strength = math.log2(known.penalty / 5e-4) if known.penalty else 0.0
    groups = known.zero_group_target or min(0.9, GROUPS[method] * 1.5**strength)
    top1 = 88.0 - LOST[method] * 1.4**strength + float(draw.normal(0, 0.1))
    deployed = known.activations < FLOAT_BITS and known.end_layers == "integer8" and not recipe.validation_fraction
    return replace(
        empty_record(known, recipe.seed),
        run=run_name(recipe),
        recipe=recipe.to_toml(),
        dataset=dataset,
        validation_accuracy=top1 - 3 if recipe.validation_fraction else None,
        top1=None if recipe.validation_fraction else top1,
        integer_top1=top1 - 0.05 if deployed else None,
        predicted_cycles=round(19635 * (1 - groups)) if deployed else None,
        cut_groups=7 if known.zero_group_target else None,
        zero_group_fraction=groups,
        zero_fraction=groups + 0.3 if method != "full precision" else 0.0,
        compression=32 / ((1 - groups) * (2 if recipe.precision == "ternary" else 32)),
        history=_history(recipe.epochs, groups, clipped=method == "clipped"),
        layers=LayerFigures(name=tuple(LAYERS), stage=STAGES, block=BLOCKS, role=ROLES),
        histograms=_histograms(method, draw),
        group_norms=_norms(0.5 if method == "clipped" else 0.15, draw),
        trits=_trits(groups, draw) if recipe.precision == "ternary" else {},
    )


def _history(epochs: int, groups: float, clipped: bool) -> History:
    epoch = range(1, epochs + 1)
    grown = [groups * (1 - math.exp(-one / 5)) for one in epoch]
    columns: dict[str, Column] = {"zero_group_fraction": tuple(round(part, 4) for part in grown)}
    for index, layer in enumerate(LAYERS):
        if clipped:
            columns[f"delta.{layer}"] = tuple(round((2 - index / 15) / (1 + 0.1 * one), 4) for one in epoch)
        columns[f"zero_groups.{layer}"] = tuple(round(part * (0.2 + index / 12), 4) for part in grown)
    return History(tuple(epoch), columns)


def _histograms(method: str, draw: np.random.Generator) -> dict[str, Histogram]:
    drawn, deviation = {}, {"full precision": 0.3, "ternary": 0.3, "pruning": 0.1, "naive": 0.2}.get(method, 0.28)
    for stage, width in enumerate(WIDTHS, start=1):
        reach = round(4 * math.sqrt(2 / (9 * width)), 4)
        values = np.clip(draw.normal(0, deviation * reach, 9 * width * width), -reach, reach)
        counts = tuple(np.histogram(values, 81, (-reach, reach))[0].tolist())
        figures = Histogram(mean=float(values.mean()), std=float(values.std()), reach=reach, counts=counts)
        drawn[f"stage{stage}.block1.conv2"] = figures
    return drawn


def _norms(spread: float, draw: np.random.Generator) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(np.sort(np.abs(draw.normal(0.8, spread, count))).round(4).tolist())
        for name, count in (("stage2.block1.conv1", 32), ("stage3.block1.conv2", 256))
    }


def _trits(groups: float, draw: np.random.Generator) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(
            "0" * 144 if draw.random() < groups else "".join(draw.choice(list("0+-"), 144)) for _ in range(outputs)
        )
        for name, outputs in (("stage1.block1.conv1", 16), ("stage2.block1.conv1", 32))
    }


def made_up_results(recipes: Iterable[Recipe], dataset: str = "cifar10_jpeg") -> dict[str, Result]:
    """By name of the run, a record of each as a result file holds it."""
    return {run_name(recipe): made_up(recipe, dataset).result() for recipe in recipes}
