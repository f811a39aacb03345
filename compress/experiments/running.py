"""Doing an experiment: the runs that have no record yet, one after the other, each recorded as soon as it ends.

A training goes on from its checkpoint, so an experiment may be done in pieces of any length, and by several processes:
a run that another one trains is passed over. A run that learns from another has that one trained first where it is not
yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.engine.batches import steps_per_epoch
from tritforge.compress.experiments.plan import find_run, run_name
from tritforge.compress.experiments.record import training_record
from tritforge.compress.experiments.recorded_runs import NOT_COMPARED, missing_runs, record_path
from tritforge.compress.methods.distillation import DistillationSettings
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.run.run_folder import SECONDS_FILE
from tritforge.compress.training.train import TrainingRun, recipe_dataset, remaining_steps, train
from tritforge.files import atomic_write
from tritforge.records.training_record import TrainingRecord
from tritforge.results import write_result

Progress = Callable[[str, int], AbstractContextManager[Callable[[float], None]]]
"""``progress(run, steps)`` gives a context in which ``advance(count)`` is called."""


class OutOfTimeError(Exception):
    """The time given to an experiment is over; its training stands at a checkpoint.

    Attributes:
        run: its name.
        step: optimiser steps done.
        steps: those of the whole run.
    """

    def __init__(self, run: str, step: int, steps: int) -> None:
        super().__init__(f"{run} stands at step {step} of {steps}")
        self.run, self.step, self.steps = run, step, steps


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
    shelf: DatasetShelf,
    progress: Progress,
    deadline: float | None = None,
) -> TrainingRecord:
    """Train one run, or go on with it, evaluate it, and write its record.

    Args:
        recipe: the run; its ``teacher`` is the name of a run, which is trained and recorded before it if need be.
        results: folder of the records.
        runs: folder of the run folders, a teacher's among them.
        shelf: where data sets come from.
        progress: display.
        deadline: time of :func:`time.perf_counter` by which to end at a checkpoint, at the earliest at the next one.

    Raises:
        OutOfTimeError: the deadline came first.
        RunBusyError: another process trains the run or its teacher.
        TritforgeError: no experiment has the teacher, a run folder holds another run, or a file cannot be read or
            written.
    """
    done, spent = _trained(recipe, results, runs, shelf, progress, deadline)
    record = training_record(recipe, done, spent)
    write_result(record_path(results, recipe), record.result())
    return record


def _trained(
    recipe: Recipe, results: Path, runs: Path, shelf: DatasetShelf, progress: Progress, deadline: float | None
) -> tuple[TrainingRun, float]:
    """The finished run, and the seconds that its pieces took together."""
    placed, taught = recipe, DistillationSettings.of(recipe)
    if taught.teacher:
        given = {key: getattr(recipe, key) for key in NOT_COMPARED}
        teacher = replace(find_run(taught.teacher), **given)
        make = do_run if missing_runs([teacher], results) else _trained
        make(teacher, results, runs, shelf, progress, deadline)
        placed = with_settings(recipe, replace(taught, teacher=str(runs / taught.teacher)))
    folder, dataset = runs / run_name(recipe), shelf.get(recipe)
    steps = recipe.epochs * steps_per_epoch(recipe, dataset)
    remaining = remaining_steps(recipe, folder, dataset)
    began = time.perf_counter()
    before = _seconds(folder)

    def spent() -> float:
        """The seconds so far, which are written down so that a kill loses no more than a checkpoint's."""
        seconds = before + time.perf_counter() - began
        if folder.exists():
            atomic_write(folder / SECONDS_FILE, f"{seconds:.3f}\n".encode())
        return seconds

    try:
        with progress(run_name(recipe), remaining) as advance:
            watched = _until(deadline, recipe, steps - remaining, steps, advance, spent)
            done = train(placed, folder, dataset=dataset, advance=watched)
    finally:
        seconds = spent()
    return done, seconds


def _until(
    deadline: float | None,
    recipe: Recipe,
    step: int,
    steps: int,
    advance: Callable[[float], None],
    at_checkpoint: Callable[[], object],
) -> Callable[[int], None]:
    """``advance`` that ends the training at the last checkpoint before the deadline, judging by the one before."""
    last = time.perf_counter()

    def advanced(count: int) -> None:
        nonlocal step, last
        step += count
        advance(count)
        if step % recipe.checkpoint_steps == 0 and step < steps:
            at_checkpoint()
            now = time.perf_counter()
            if deadline is not None and now + (now - last) > deadline:
                raise OutOfTimeError(run_name(recipe), step, steps)
            last = now

    return advanced


def _seconds(folder: Path) -> float:
    path = folder / SECONDS_FILE
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0
