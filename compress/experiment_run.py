"""Doing an experiment: the runs that have no record yet, one after the other, each recorded as soon as it ends.

A training goes on from its checkpoint, so an experiment may be done in pieces of any length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tritforge.compress.data import Dataset
from tritforge.compress.experiments import run_name
from tritforge.compress.recipe import Recipe
from tritforge.compress.recorded_runs import record_path
from tritforge.compress.run_record import run_result
from tritforge.compress.train import recipe_dataset, remaining_steps, steps_per_epoch, train
from tritforge.files import atomic_write
from tritforge.results import Result, write_result

SECONDS_FILE = "seconds.txt"

Progress = Callable[[str, int], AbstractContextManager[Callable[[float], None]]]
"""``progress(run, steps)`` gives a context in which ``advance(count)`` is called."""


class OutOfTimeError(Exception):
    """The time given to an experiment is over; its training stands at a checkpoint.

    Attributes:
        step: optimiser steps done.
        steps: those of the whole run.
    """

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"step {step} of {steps}")
        self.step, self.steps = step, steps


class DatasetShelf:
    """The data sets of an experiment's runs; the one in use is kept."""

    def __init__(self) -> None:
        self.held: tuple[tuple[str, str, float], Dataset] | None = None

    def get(self, recipe: Recipe) -> Dataset:
        key = (recipe.dataset, recipe.data_folder, recipe.validation_fraction)
        if self.held is None or self.held[0] != key:
            self.held = (key, recipe_dataset(recipe))
        return self.held[1]


def do_run(
    recipe: Recipe,
    results: Path,
    runs: Path,
    dataset: Dataset,
    progress: Progress,
    deadline: float | None = None,
) -> Result:
    """Train one run, or go on with it, evaluate it, and write its record.

    Args:
        recipe: the run.
        results: folder of the records.
        runs: folder of the run folders.
        dataset: what ``recipe`` names.
        progress: display.
        deadline: time of :func:`time.perf_counter` by which to end at a checkpoint, at the earliest at the next one.

    Raises:
        OutOfTimeError: the deadline came first.
        TritforgeError: the run folder holds another run, or a file cannot be read or written.
    """
    folder = runs / run_name(recipe)
    steps = recipe.epochs * steps_per_epoch(recipe, dataset)
    remaining = remaining_steps(recipe, folder, dataset)
    began = time.perf_counter()
    before = _seconds(folder)
    try:
        with progress(run_name(recipe), remaining) as advance:
            watched = _until(deadline, recipe, steps - remaining, steps, advance)
            done = train(recipe, folder, dataset=dataset, advance=watched)
    finally:
        spent = before + time.perf_counter() - began
        if folder.exists():
            atomic_write(folder / SECONDS_FILE, f"{spent:.1f}\n".encode())
    result = run_result(recipe, done, spent)
    write_result(record_path(results, recipe), result)
    return result


def _until(
    deadline: float | None, recipe: Recipe, step: int, steps: int, advance: Callable[[float], None]
) -> Callable[[int], None]:
    """``advance`` that ends the training at the last checkpoint before the deadline, judging by the one before."""
    last = time.perf_counter()

    def advanced(count: int) -> None:
        nonlocal step, last
        step += count
        advance(count)
        if deadline is not None and step % recipe.checkpoint_steps == 0 and step < steps:
            now = time.perf_counter()
            if now + (now - last) > deadline:
                raise OutOfTimeError(step, steps)
            last = now

    return advanced


def _seconds(folder: Path) -> float:
    path = folder / SECONDS_FILE
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0
