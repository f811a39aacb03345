"""``tritforge export``: a finished run to a network file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.network.file import NETWORK_FILE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog="Example: tritforge export runs/digits_ternary-seed0 -o digits.safetensors")(export)


def export(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder of a finished ternary run.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=f"Network file; by default {NETWORK_FILE} in RUN.", show_default=False),
    ] = None,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, if it has moved since training.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Fold a trained model into the integer network, and say how closely the two agree."""
    from tritforge.compress.export.agreement import EQUAL_ARGMAX, WITHIN_ONE
    from tritforge.compress.training.export_run import export_run

    with progress("exporting", None, "files") as advance:
        done = export_run(run, output, data_folder)
        advance(1)
    agreement = done.agreement
    echo(f"network file           {done.path}")
    echo(
        f"accuracy               {done.integer_accuracy:.2f} % integer, {done.fake_quantised_accuracy:.2f} % as trained"
    )
    echo(f"zero PE groups         {100 * done.zero_group_fraction:.1f} %")
    echo(
        f"equal class            {100 * agreement.equal_argmax_fraction:.2f} % of {len(agreement.model_classes)} images"
    )
    echo(f"within one step        {100 * agreement.worst_layer:.3f} % of the worst layer's activations")
    if not agreement.holds():
        echo(
            f"warning: the network does not follow its model as it should: expected are {100 * EQUAL_ARGMAX:g} % equal "
            f"classes and {100 * WITHIN_ONE:g} % of activations within one step",
            err=True,
        )
    metrics = {
        "integer_accuracy": done.integer_accuracy,
        "fake_quantised_accuracy": done.fake_quantised_accuracy,
        "zero_group_fraction": done.zero_group_fraction,
        "equal_argmax_fraction": agreement.equal_argmax_fraction,
        "within_one_fraction": agreement.within_one,
        "images": len(agreement.model_classes),
    }
    seed = done.network.provenance["seed"]
    write_result(context, json, metrics, seeds=[seed], data_digest=done.dataset.digest())
