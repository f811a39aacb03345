"""``tritforge report``: tables and pages drawn from result files; reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.options import JsonOption, write_result
from tritforge.errors import TritforgeError
from tritforge.results import read_result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: tritforge report demo runs/demo")(report)


def report(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="demo|layers|FILE", help="The demo's page, Table 7's layers, or any result file.")
    ],
    source: Annotated[
        Path | None, typer.Argument(help="The demo's run folder, or the result file of tritforge bench layers.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Draw what a command recorded: 'demo [FOLDER]' a page, 'layers FILE' Table 7, 'FILE' the file's tables."""
    if what == "demo":
        from tritforge.reports.demo_report import write_demo_report

        page = write_demo_report(source or Path("runs/demo"))
        typer.echo(page)
        metrics: dict[str, object] = {"page": str(page)}
    elif what == "layers":
        if source is None:
            raise TritforgeError("report layers needs the result file of tritforge bench layers")
        from tritforge.reports.table7 import COLUMNS, SOURCE, layers_table

        layer_rows = layers_table(read_result(source).metrics)
        _print(f"Skipping zero groups, layer by layer ({source})", COLUMNS, layer_rows)
        typer.echo(f"Table 7: {SOURCE}.")
        metrics = {"rows": [dict(zip(COLUMNS, row, strict=True)) for row in layer_rows]}
    else:
        if source is not None:
            raise TritforgeError(f"report {what} takes no second argument; known reports are demo and layers")
        from tritforge.reports.result_table import result_tables

        result = read_result(what)
        tables = result_tables(result.command, result.metrics)
        for table in tables:
            _print(table.title, table.columns, table.rows)
        typer.echo(f"{result.machine}; revision {result.revision}; {result.seconds:.1f} s; seeds {list(result.seeds)}")
        metrics = {"rows": [dict(zip(table.columns, row, strict=True)) for table in tables for row in table.rows]}
    write_result(context, json, metrics)


def _print(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    # Numbers cut short tell nothing: rather a table wider than the screen.
    Console(width=max(console.width, 130)).print(table)
