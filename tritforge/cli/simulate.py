"""``tritforge simulate``: a network file on the simulated accelerator, word for word against the reference model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.accelerator_options import DepthsOption, FitOption, PesOption, accelerator_for, check_fits
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.network_images import network_images
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network
from tritforge.network.network import group_sparsity


def register(app: typer.Typer) -> None:
    """Add the command ``simulate``."""
    app.command("simulate", epilog="Example: tritforge simulate digits.safetensors --images 100 --pes 16")(simulate)


def simulate(
    context: typer.Context,
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="Network file.")],
    images: Annotated[int, typer.Option("--images", help="How many images to run.", min=1)] = 16,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Images (.npz with `images` N,C,H,W and, if known, `labels`)."),
    ] = None,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, if it has moved since training.", show_default=False)
    ] = None,
    random_pixels: Annotated[
        bool, typer.Option("--random-pixels", help="Random images instead of test images.")
    ] = False,
    pes: PesOption = 16,
    memory: DepthsOption = None,
    fit: FitOption = False,
    every_group: Annotated[bool, typer.Option("--every-group", help="Store and issue zero groups too.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the registers' first values and of random pixels.")] = 0,
    json: JsonOption = None,
) -> None:
    """Run images through the RTL over its streams and compare every word of every map with the reference model.

    Images are the first test images of the data set that the network was trained on, or those of --data.
    """
    held = load_network(network)
    parameters = accelerator_for(held, pes, memory, fit)
    check_fits(held, parameters)
    pixels, labels = network_images(held, images, data, seed if random_pixels else None, data_folder)
    from tritforge.sim.runs.accelerator import simulate as run

    with progress("simulating", total=len(pixels), unit="images") as advance:
        outcome = run(held, pixels, parameters, every_group=every_group, seed=seed + 1, progress=advance)
    metrics = {
        "pes": parameters.pes,
        "activation_bits": held.activation_bits,
        "zero_group_fraction": group_sparsity(held),
        "images": outcome.images,
        "words": outcome.words,
        "mismatching_words": outcome.mismatching_words,
        "cycles_per_image": outcome.cycles_per_image,
        "latency_cycles": outcome.latency_cycles,
        "counters": outcome.counters,
        "layers": outcome.layers,
    }
    if labels is not None:
        metrics["accuracy"] = outcome.accuracy(labels)
    for name in ("images", "words", "mismatching_words", "accuracy", "cycles_per_image", "latency_cycles"):
        if name in metrics:
            echo(f"{name:18}  {metrics[name]:g}")
    for name, layer in outcome.layers.items():
        echo(f"  {name:16}  {layer['cycles']:7} cycles  {layer['issued']:7} groups issued")
    write_result(context, json, metrics, seeds=[seed], data_digest=network_digest(held))
    if outcome.mismatching_words:
        raise typer.Exit(1)
