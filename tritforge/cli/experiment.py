"""``tritforge experiment``: the training runs behind tables and figures, in pieces of any length."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.errors import RecipeError
from tritforge.records.training_record import TrainingRecord

group = typer.Typer(
    help="Do the training runs behind tables and figures, or list them.",
    no_args_is_help=True,
    epilog="Example: tritforge experiment run table3 --data-folder cifar-10-batches-bin --budget 40",
)

ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of the records, one data set in each.")]
ScheduleOption = Annotated[
    str, typer.Option("--schedule", metavar="modern|paper", help="One cycle, 20 epochs; or the paper's steps, 160.")
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N,N", help="Seeds of every run, instead of its own.")
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Epochs of every run, instead of its own.", min=1)]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="PATTERN", help="Only runs whose name holds this; * is any text.")
]
RESULTS = Path("reports/results/training")
NAMES_SHOWN = 3


def register(app: typer.Typer) -> None:
    """Add the command ``experiment``."""
    app.add_typer(group, name="experiment")


@group.command(epilog="Example: tritforge experiment run table3 --data-folder cifar-10-batches-bin --budget 40")
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An experiment of tritforge experiment list.")],
    data_folder: Annotated[
        str,
        typer.Option(
            "--data-folder",
            help="The unpacked CIFAR-10 archive, or a .npz pack of images; by default cifar10 in TRITFORGE_DATA.",
            show_default=False,
        ),
    ] = "",
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="MINUTES", help="End at a checkpoint after so long.", show_default=False),
    ] = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    epochs: EpochsOption = None,
    schedule: ScheduleOption = "modern",
    threads: Annotated[int, typer.Option("--threads", help="Torch threads.", min=1)] = 1,
    device: Annotated[str, typer.Option("--device", help="Torch device.")] = "cpu",
    compiled: Annotated[bool, typer.Option(help="Compile the steps, for a GPU.")] = False,
    fused: Annotated[bool, typer.Option(help="On a CPU, join the passes over maps; needs a C++ compiler.")] = True,
    results: ResultsOption = RESULTS,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the run folders.")] = Path("runs/experiments"),
    json: JsonOption = None,
) -> None:
    """Do the runs of an experiment that have no record yet; the same command goes on where it ended."""
    from dataclasses import replace

    from tritforge.compress.experiments.plan import data_values, run_name
    from tritforge.compress.experiments.recorded_runs import missing_runs
    from tritforge.compress.experiments.running import DatasetShelf, OutOfTimeError, do_run
    from tritforge.compress.run.lock import RunBusyError

    deadline = None if budget is None else context.find_root().obj + 60 * budget
    given: dict[str, Any] = {
        **data_values(data_folder),
        "threads": threads,
        "device": device,
        "compiled": compiled,
        "fused": fused,
    }
    chosen = [replace(one, **given) for one in _chosen_runs(name, schedule, seeds, epochs, only)]
    missing = missing_runs(chosen, results)
    echo(f"{name}: {len(chosen) - len(missing)} of {len(chosen)} runs recorded in {results}")
    shelf, recorded, stopped = DatasetShelf(), 0, ""
    left, busy = [], []
    for recipe in missing:
        if stopped or (deadline is not None and recorded and time.perf_counter() >= deadline):
            left.append(run_name(recipe))
            continue
        if not missing_runs([recipe], results):  # another process has recorded it meanwhile
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                done = do_run(recipe, results, runs, shelf, progress, deadline)
            except OutOfTimeError as error:
                stopped = str(error)
                left.append(run_name(recipe))
            except RunBusyError:
                busy.append(run_name(recipe))
        for warning in caught:
            echo(f"warning: {warning.message}", err=True)
        if run_name(recipe) not in left + busy:
            recorded += 1
            echo(f"{run_name(recipe)}: {_told(done)}, {done.seconds / 60:.1f} minutes")
    if busy:
        echo(f"left to the process that trains it or its teacher: {_some(busy)}")
    if left:
        echo(f"the time is over; {stopped or 'no run is under way'}; without a record: {_some(left)}")
    left = [run_name(recipe) for recipe in missing if run_name(recipe) in left + busy]
    metrics = {"runs": [run_name(recipe) for recipe in chosen], "missing": left}
    write_result(context, json, metrics, seeds=sorted({recipe.seed for recipe in chosen}))


def _some(names: list[str]) -> str:
    more = [f"{len(names) - NAMES_SHOWN} more"] if names[NAMES_SHOWN:] else []
    return ", ".join([*names[:NAMES_SHOWN], *more])


@group.command("list", epilog="Example: tritforge experiment list table3")
def list_experiments(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Tell the runs of this one.", show_default=False)] = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    epochs: EpochsOption = None,
    schedule: ScheduleOption = "modern",
    results: ResultsOption = RESULTS,
    json: JsonOption = None,
) -> None:
    """Tell what experiments there are, or an experiment's runs, and which of them are recorded."""
    from tritforge.compress.experiments.plan import experiments, run_name
    from tritforge.compress.experiments.recorded_runs import read_record

    rows: list[dict[str, Any]] = []
    for experiment in [name] if name is not None else experiments(schedule):
        runs = _chosen_runs(experiment, schedule, seeds, epochs, only if name is not None else None)
        records = [read_record(results, recipe) for recipe in runs]
        if name is None:
            done = sum(record is not None for record in records)
            purpose = experiments(schedule)[experiment].purpose
            rows.append({"name": experiment, "runs": len(runs), "recorded": done, "purpose": purpose})
            echo(f"{experiment:16} {done:3} of {len(runs):3} recorded   {purpose}")
            continue
        for recipe, record in zip(runs, records, strict=True):
            rows.append({"name": run_name(recipe), "recorded": record is not None})
            echo(f"{run_name(recipe):64} {_told(record) if record else 'not run'}")
    write_result(context, json, {"rows": rows})


def _chosen_runs(name: str, schedule: str, seeds: str | None, epochs: int | None, only: str | None) -> list[Any]:
    """The recipes of an experiment's runs, with what the options change."""
    from dataclasses import replace

    from tritforge.compress.experiments.plan import find_experiment, matching, with_seeds

    runs = find_experiment(name, schedule).runs
    if epochs is not None:
        runs = tuple(dict.fromkeys(replace(recipe, epochs=epochs) for recipe in runs))
    if seeds is not None:
        runs = with_seeds(runs, _numbers(seeds))
    return list(matching(runs, only) if only is not None else runs)


def _numbers(seeds: str) -> list[int]:
    parts = seeds.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise RecipeError(f"--seeds is {seeds!r}; it takes whole numbers with commas between them, such as 0,1,2")
    return [int(part) for part in parts]


def _told(record: TrainingRecord) -> str:
    tested = record.top1 is not None
    accuracy = f"top1 {record.top1:.2f} %" if tested else f"validation_accuracy {record.validation_accuracy:.2f} %"
    return f"{accuracy}, zero groups {100 * record.zero_group_fraction:.1f} %"
