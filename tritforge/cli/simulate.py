"""``tritforge simulate``: a network file on the simulated accelerator, word for word against the reference model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from tritforge.cli.accelerator_options import DepthsOption, FitOption, PesOption, accelerator_for, check_fits
from tritforge.cli.options import JsonOption, progress, write_result
from tritforge.errors import DataError
from tritforge.network import Network
from tritforge.network_file import load_network, network_digest


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
    pixels, labels = _images(held, data, images, None if not random_pixels else seed)
    from tritforge.sim.accelerator_simulation import simulate as run

    with progress("simulating", total=len(pixels), unit="images") as advance:
        outcome = run(held, pixels, parameters, every_group=every_group, seed=seed + 1, progress=advance)
    metrics = {
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
            typer.echo(f"{name:18}  {metrics[name]:g}")
    for name, layer in outcome.layers.items():
        typer.echo(f"  {name:16}  {layer['cycles']:7} cycles  {layer['issued']:7} groups issued")
    write_result(context, json, metrics, seeds=[seed], data_digest=network_digest(held))
    if outcome.mismatching_words:
        raise typer.Exit(1)


def _images(network: Network, data: Path | None, count: int, pixel_seed: int | None) -> tuple[NDArray, NDArray | None]:
    """The first ``count`` images ``(count, C, H, W)`` and their labels, where there are any."""
    spec = network.input
    if pixel_seed is not None:
        shape = (count, spec.channels, spec.height, spec.width)
        return np.random.default_rng(pixel_seed).integers(0, 1 << spec.bits, shape), None
    if data is None:
        return _test_images(network, count)
    try:
        with np.load(data, allow_pickle=False) as file:
            images = file["images"][:count]
            labels = file["labels"][:count] if "labels" in file.files else None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{data}: not an .npz file with an array `images` ({error})") from None
    if images.shape[1:] != (spec.channels, spec.height, spec.width):
        raise DataError(
            f"{data}: images are {images.shape[1:]}; the network takes {(spec.channels, spec.height, spec.width)}"
        )
    return images, labels


def _test_images(network: Network, count: int) -> tuple[NDArray, NDArray]:
    """Test images of the data set that the network's provenance names."""
    if "recipe" not in network.provenance:
        raise DataError("the network file does not say what it was trained on; give --data FILE or --random-pixels")
    from tritforge.compress.evaluate_target import network_dataset

    test = network_dataset(network).test
    return test.images[:count], test.labels[:count]
