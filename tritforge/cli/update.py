"""``tritforge update``: a few changed trits for a deployed network, as a patch file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.options import JsonOption, progress, write_result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "update",
        epilog="Example: tritforge update digits.safetensors --checkpoint runs/digits_ternary-seed0 --ratio 0.01",
    )(update)


def update(
    context: typer.Context,
    network: Annotated[Path, typer.Argument(help="Network file of the deployed network.")],
    checkpoint: Annotated[Path, typer.Option(help="Run folder or checkpoint that the network was exported from.")],
    ratio: Annotated[float, typer.Option(help="Updating ratio: changed trits over trits in stored groups.")] = 0.01,
    output: Annotated[Path, typer.Option("--output", "-o", help="Patch file.")] = Path("update.patch"),
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep-checkpoint",
            help="Write the updated checkpoint here, to make the next update from.",
            show_default=False,
        ),
    ] = None,
    degrees: Annotated[
        float, typer.Option(help="The recorded shift: by how much every camera was turned, counter-clockwise.")
    ] = 25.0,
    seed: Annotated[int, typer.Option(help="Seed of the order of the data.", min=0)] = 0,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, if it has moved since training.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train a deployed network on shifted data, change few trits (deep partial updating), and write the patch."""
    from tritforge.compress.run.checkpoint import save_checkpoint
    from tritforge.compress.studies.demo_run import update_demo
    from tritforge.compress.training.evaluate_target import network_dataset
    from tritforge.network.file import load_network

    deployed = load_network(network)
    dataset = network_dataset(deployed, data_folder)
    done = update_demo(deployed, checkpoint, dataset, ratio, output, degrees, seed, progress)
    if keep is not None:
        save_checkpoint(keep, done.checkpoint)
    figures = done.figures
    before, after = figures.validation_before, figures.validation_after
    if done.patch_path is None:
        typer.echo(f"no patch: validation did not improve ({before:.2f} to {after:.2f} %)")
    else:
        typer.echo(f"patch file             {done.patch_path}")
        typer.echo(
            f"patch size             {figures.patch_bytes} bytes, a full update takes {figures.full_update_bytes}"
        )
    percent = 100 * figures.updating_ratio
    typer.echo(f"changed trits          {figures.changed_trits} of {figures.stored_trits} ({percent:.2f} %)")
    typer.echo(
        f"accuracy, shifted      {figures.accuracy_before_patch:.2f} % before, "
        f"{figures.accuracy_after_patch:.2f} % after, {figures.accuracy_full_retraining:.2f} % with full retraining"
    )
    typer.echo(
        f"accuracy, original     {figures.original_accuracy_before_patch:.2f} % before, "
        f"{figures.original_accuracy_after_patch:.2f} % after"
    )
    write_result(context, json, figures.metrics(), seeds=[seed], data_digest=dataset.digest())
