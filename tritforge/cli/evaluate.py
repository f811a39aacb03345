"""``tritforge evaluate``: the test accuracy of a network file or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate", epilog="Example: tritforge evaluate runs/digits_ternary-seed0")(evaluate)


def evaluate(
    context: typer.Context,
    network_or_run: Annotated[Path, typer.Argument(help="Network file (.safetensors) or run folder.")],
    dataset: Annotated[
        str | None, typer.Option(help="Data set; by default the one it was trained on.", show_default=False)
    ] = None,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, if it has moved since training.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Measure accuracy on the test part, in every form that exists: full precision, as trained, and integer."""
    from tritforge.compress.training.evaluate_target import evaluate_target

    with progress("evaluating", None, "targets") as advance:
        figures = evaluate_target(network_or_run, dataset, data_folder)
        advance(1)
    metrics: dict[str, Any] = {"images": figures.images, **figures.accuracies}
    for name, value in figures.accuracies.items():
        echo(f"{name.replace('_', ' '):26} {value:.2f} % of {figures.images} images")
    write_result(context, json, metrics, seeds=figures.seeds, data_digest=figures.data_digest)
