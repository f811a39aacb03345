"""``tritforge report``: tables and pages drawn from result files; reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, write_result
from tritforge.errors import TritforgeError
from tritforge.plain_text import printable
from tritforge.results import read_result

MOST_COLUMNS = 400
"""A table is never wider, in characters."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: tritforge report demo runs/demo")(report)


def report(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="demo|layers|training|FILE",
            help="The demo's page, Table 7's layers, trainings, or any result file.",
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(help="The demo's run folder, the result file of tritforge bench layers, or training records."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PAGE", help="Trainings: write an .html page, or into an .md page's markers."
        ),
    ] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", metavar="modern|paper", help="Trainings: those of it.")
    ] = "modern",
    epochs: Annotated[int | None, typer.Option("--epochs", help="Trainings: those of so many.", min=1)] = None,
    json: JsonOption = None,
) -> None:
    """Draw what was recorded: 'demo [FOLDER]', 'layers FILE', 'training [FOLDER]', or the tables of any 'FILE'."""
    if what != "training" and (out is not None or epochs is not None or schedule != "modern"):
        raise TritforgeError("--out, --schedule and --epochs are options of report training alone")
    if what == "demo":
        from tritforge.reports.pages.demo_report import write_demo_report

        page = write_demo_report(source or Path("runs/demo"))
        echo(page)
        metrics: dict[str, object] = {"page": str(page)}
    elif what == "layers":
        if source is None:
            raise TritforgeError("report layers needs the result file of tritforge bench layers")
        from tritforge.reports.hardware.table7 import COLUMNS, SOURCE, layers_table

        layer_rows = layers_table(read_result(source).metrics)
        _print(f"Skipping zero groups, layer by layer ({source})", COLUMNS, layer_rows)
        echo(f"Table 7: {SOURCE}.")
        metrics = {"rows": [dict(zip(COLUMNS, row, strict=True)) for row in layer_rows]}
    elif what == "training":
        metrics = _training(source or Path("reports/results/training"), out, schedule, epochs)
    else:
        if source is not None:
            raise TritforgeError(f"report {what} takes no second argument; known reports are demo, layers and training")
        from tritforge.reports.drawing.result_table import result_tables

        result = read_result(what)
        tables = result_tables(result.command, result.metrics)
        for table in tables:
            _print(table.title, table.columns, table.rows)
        echo(f"{result.machine}; revision {result.revision}; {result.seconds:.1f} s; seeds {list(result.seeds)}")
        metrics = {"rows": [dict(zip(table.columns, row, strict=True)) for table in tables for row in table.rows]}
    write_result(context, json, metrics)


def _training(folder: Path, out: Path | None, schedule: str, epochs: int | None) -> dict[str, object]:
    from dataclasses import replace

    from tritforge.compress.experiments.plan import experiments, setting
    from tritforge.compress.experiments.recorded_runs import records_of_all_seeds
    from tritforge.reports.training.records import Measured, data_set_of, rows
    from tritforge.reports.training.tables import parts

    if not folder.is_dir():
        raise TritforgeError(f"there is no folder {folder} of training records")
    plan = {}
    for name, experiment in experiments(schedule).items():
        recipes = dict.fromkeys(replace(run, seed=0, epochs=epochs or run.epochs) for run in experiment.runs)
        plan[name] = [Measured(setting(recipe), tuple(records_of_all_seeds(folder, recipe))) for recipe in recipes]
    data_set = data_set_of(plan)
    for part in parts(plan):
        _print(part.table.title, part.table.columns, part.table.rows)
        echo(part.note)
    if data_set:
        echo(f"All on {data_set}.")
    if out is not None:
        from tritforge.reports.training.report import write_training_report

        write_training_report(out, plan)
        echo(out)
    return {"rows": rows(plan)}


def _print(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    def plain(text: str) -> Text:
        return Text(printable(text))  # neither escape codes nor rich's own marks

    table = Table(title=plain(title))
    for index, name in enumerate(columns):
        table.add_column(plain(name), justify="right" if index else "left")
    for row in rows:
        table.add_row(*map(plain, row))
    console = Console()
    # Numbers cut short tell nothing: rather a table wider than the screen.
    needed = Measurement.get(console, console.options.update(max_width=MOST_COLUMNS), table).maximum
    Console(width=max(console.width, needed)).print(table)
