"""Records of training runs: where they lie, and whether one is the record of a given run. Reads files only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tritforge.compress.experiments.plan import run_name
from tritforge.compress.methods.chosen import differences
from tritforge.compress.run.recipe import NOT_DECISIVE, Recipe, parse_recipe
from tritforge.errors import ResultFileError
from tritforge.records.training_record import TrainingRecord
from tritforge.results import read_result

NOT_COMPARED = (*NOT_DECISIVE, "dataset", "device")
"""Keys of a recipe that may differ from the record's; the data are compared by the data set's name."""


def record_path(results: Path, recipe: Recipe) -> Path:
    """Where the record of a run lies."""
    return results / f"{run_name(recipe)}.json"


def read_record(results: Path, recipe: Recipe, dataset: str | None = None) -> TrainingRecord | None:
    """The record of a run; None where there is none.

    Args:
        results: folder of the records.
        recipe: the run.
        dataset: name of the data set that it must be on; None takes any.

    Raises:
        ResultFileError: the file cannot be read, is no record, or is that of another recipe or data set.
    """
    path = record_path(results, recipe)
    if not path.exists():
        return None
    found = TrainingRecord.from_result(read_result(path), str(path))
    recorded = parse_recipe(found.recipe, f"the recipe in {path}")
    for key, here, there in differences(recipe, recorded):
        if key not in NOT_COMPARED:
            raise ResultFileError(
                f"{path} records a run with {key} = {there!r}, not {here!r}; "
                "remove it, or choose another folder of results"
            )
    if dataset is not None and found.dataset != dataset:
        raise ResultFileError(
            f"{path} records a run on {found.dataset}, not {dataset}; choose another folder of results"
        )
    return found


def missing_runs(runs: Sequence[Recipe], results: Path) -> list[Recipe]:
    """The runs without a record in ``results``; a pack's data set is named after its file.

    Raises:
        ResultFileError: a record that cannot be read, or that belongs to another recipe or data set.
    """
    names = [Path(run.data_folder).stem if run.dataset == "packed" else run.dataset for run in runs]
    return [run for run, name in zip(runs, names, strict=True) if read_record(results, run, name) is None]


def records_of_all_seeds(results: Path, recipe: Recipe) -> list[TrainingRecord]:
    """The records of a run and of those that differ from it in the seed alone, by rising seed.

    Raises:
        ResultFileError: a record that cannot be read or that belongs to another recipe.
    """
    stem = run_name(recipe).removesuffix(f"s{recipe.seed}")
    found = (path.stem.removeprefix(stem) for path in results.glob(f"{stem}s*.json"))
    seeds = sorted(int(text[1:]) for text in found if text[1:].isdecimal())
    records = (read_record(results, replace(recipe, seed=seed)) for seed in seeds)
    return [record for record in records if record is not None]
