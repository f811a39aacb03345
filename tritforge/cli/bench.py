"""``tritforge bench``: measurements of the accelerator, each with its baseline in the same run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tritforge.cli.accelerator_options import PesOption
from tritforge.cli.options import JsonOption, progress, write_result
from tritforge.parameters import AcceleratorParameters

group = typer.Typer(
    help="Measure the accelerator, each time with its baseline in the same run.",
    no_args_is_help=True,
    epilog="Example: tritforge bench layers --json layers.json",
)


def register(app: typer.Typer) -> None:
    """Add the command ``bench``."""
    app.add_typer(group, name="bench")


@group.command(epilog="Example: tritforge bench layers --pes 8 --bits 16 --repeats 16 --json layers.json")
def layers(
    context: typer.Context,
    pes: PesOption = 8,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 16,
    repeats: Annotated[int, typer.Option("--repeats", help="Runs of a layer back to back.", min=2)] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and pixels.")] = 0,
    json: JsonOption = None,
) -> None:
    """Speedup of dissertation Table 7's layers from skipping, against the same array issuing every group."""
    from tritforge.reports.table7 import TABLE_7 as PAPER
    from tritforge.sim.bench_layers import TABLE_7, bench_layers

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits, slots=8192)
    with progress("simulating", total=2 * len(TABLE_7), unit="runs") as advance:
        speeds = bench_layers(parameters, TABLE_7, repeats, seed, advance)
    metrics = {"pes": pes, "repeats": repeats, "activation_bits": bits, "layers": [asdict(speed) for speed in speeds]}
    typer.echo("layer    groups non-zero cycles dense cycles sparse speedup ideal of ideal alone Table 7")
    for speed, paper in zip(speeds, PAPER, strict=True):
        typer.echo(
            f"{speed.name:8} {speed.groups:6} {speed.nonzero_groups:8} {speed.cycles_dense:12.0f}"
            f" {speed.cycles_sparse:13.0f} {speed.speedup:7.3f} {speed.ideal_speedup:5.3f} {speed.efficiency:8.1%}"
            f" {speed.isolated_speedup:5.3f} {paper.speedup:7.2f}"
        )
    write_result(context, json, metrics, seeds=[seed])


@group.command(epilog="Example: tritforge bench equality --layers 500 --networks 100 --json equality.json")
def equality(
    context: typer.Context,
    layers: Annotated[int, typer.Option("--layers", help="Random layers, of every kind in turn.", min=0)] = 64,
    networks: Annotated[int, typer.Option("--networks", help="Random networks.", min=0)] = 12,
    pes: PesOption = 16,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of networks and pixels.")] = 0,
    json: JsonOption = None,
) -> None:
    """Count the words in which the RTL differs from the reference model, over random layers and networks."""
    from tritforge.sim.random_equality import check_equality

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits, slots=8192)
    with progress("simulating", total=layers + networks, unit="networks") as advance:
        outcome = check_equality(parameters, layers, networks, seed, advance)
    for name, value in asdict(outcome).items():
        typer.echo(f"{name:18}  {value}")
    write_result(context, json, {"pes": pes, "activation_bits": bits} | asdict(outcome), seeds=[seed])
    if outcome.mismatching_words:
        raise typer.Exit(1)
