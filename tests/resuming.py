"""Whether a training that was stopped ends as one that was not, to the last bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.training.train import TrainingRun, train


def assert_every_stop_ends_alike(recipe: Recipe, data: Dataset, folder: Path, stops: Iterable[int]) -> TrainingRun:
    """Train in one go, and on from what lay in the run folder after each of some steps; returns the former.

    The recipe writes a checkpoint after each step.
    """
    assert recipe.checkpoint_steps == 1
    done = 0

    def keep(count: int) -> None:
        nonlocal done
        done += count
        shutil.copytree(folder / "whole", folder / f"after{done}")

    whole = train(recipe, folder / "whole", dataset=data, advance=keep)
    for stop in stops:
        again = train(recipe, folder / f"after{stop}", dataset=data)
        assert again.resumed_from == stop
        assert_equal_runs(again, whole)
    return whole


def assert_equal_runs(ours: TrainingRun, theirs: TrainingRun) -> None:
    """Weights, statistics, log and what the methods tell are equal."""
    state = theirs.model.state_dict()
    for name, value in ours.model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert (ours.folder / "log.csv").read_bytes() == (theirs.folder / "log.csv").read_bytes()
    assert ours.summary == theirs.summary
