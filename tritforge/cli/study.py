"""``tritforge study``: the measurements that chose values of the digits recipes, and what these give over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import progress

group = typer.Typer(
    help="Repeat the studies on digits behind the recipes. Each goes on where its result file stands.",
    no_args_is_help=True,
    epilog="Example: tritforge study digits-seeds --json seeds.json --runs runs/seeds",
)


def register(app: typer.Typer) -> None:
    """Add the command ``study``."""
    app.add_typer(group, name="study")


def _file(name: str) -> typer.models.OptionInfo:
    return typer.Option("--json", metavar="FILE", help=f"Result file, by default reports/results/{name}.json.")


def _runs() -> typer.models.OptionInfo:
    return typer.Option("--runs", metavar="FOLDER", help="Folder of the trainings, which are used again.")


@group.command(epilog="Example: tritforge study digits-penalty --json selection.json")
def digits_penalty(
    json: Annotated[Path, _file("digits_selection")] = Path("reports/results/digits_selection.json"),
    runs: Annotated[Path, _runs()] = Path("runs/digits_selection"),
) -> None:
    """Choose λ and a of digits_ternary on hold-outs of the training part; about half an hour."""
    from tritforge.compress.studies.select_penalty import CANDIDATES, SEEDS, select

    with progress("training", total=len(CANDIDATES) * len(SEEDS), unit="trainings") as advance:
        metrics = select(json, runs, advance=advance)
    for one in metrics["candidates"]:
        mark = "chosen" if one == metrics["chosen"] else ""
        echo(
            f"penalty {one['penalty']:<6} clipping {one['clipping']:<4} validation {one['validation_accuracy']:.2f} % "
            f"zero groups {one['zero_group_fraction']:.4f} {mark}"
        )


@group.command(epilog="Example: tritforge study digits-update-rate --json rates.json")
def digits_update_rate(
    json: Annotated[Path, _file("digits_update_selection")] = Path("reports/results/digits_update_selection.json"),
    runs: Annotated[Path, _runs()] = Path("runs/digits_selection"),
) -> None:
    """Choose the learning rates of partial update and full retraining on validation images; minutes."""
    from tritforge.compress.studies.select_update_rate import RATES, SEEDS, deploy, select

    with progress("updating", total=len(SEEDS) * sum(map(len, RATES.values())), unit="updates") as advance:
        metrics = select(json, deploy(runs), advance)
    for one in metrics["candidates"]:
        mark = "chosen" if one["learning_rate"] == metrics["chosen"][one["kind"]] else ""
        echo(f"{one['kind']:8} {one['learning_rate']:<7} validation {one['validation_accuracy']:.2f} % {mark}")


@group.command(epilog="Example: tritforge study digits-seeds --json seeds.json")
def digits_seeds(
    json: Annotated[Path, _file("digits_seeds")] = Path("reports/results/digits_seeds.json"),
    runs: Annotated[Path, _runs()] = Path("runs/digits_seeds"),
) -> None:
    """Train, export and update digits over three seeds, judged on the test part; about ten minutes."""
    from tritforge.compress.studies import digits_seeds as study

    with progress("measuring", total=len(study.SEEDS), unit="seeds") as advance:
        metrics = study.digits_seeds(json, runs, advance=advance)
    for name in study.NAMES:
        values = ", ".join(f"{value:.4g}" for value in metrics[name]["values"])
        echo(f"{name:26} {metrics[name]['mean']:8.5g}   {values}")
