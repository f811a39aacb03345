"""``tritforge explore``: accelerators of all sizes for one network, by cycle model, energy model and synthesis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.cli.shared.processes import in_processes
from tritforge.cli.shared.step_folder import run_step
from tritforge.cost.design_space import Row, model, name_of, parameter_sets, pareto
from tritforge.errors import CapacityError, TritforgeError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network
from tritforge.network.network import Network
from tritforge.overlay.parameters import DEPTHS, AcceleratorParameters
from tritforge.samples.resnet_network import resnet_network

PES, GROUP_CHANNELS, BITS, PASS_OUTPUTS = [4, 8, 16, 32], [8, 16], [8, 16], [32, 64, 128]

XC7Z020 = {"lut": 53200, "ff": 106400, "bram36": 140, "dsp": 220}
"""What the chip has (AMD DS190); a design that takes nearly all of it does not place."""
AREA = tuple(XC7Z020)
WITH_AREA = ("cycles_per_image", "lut", "bram36")
WITHOUT_AREA = ("cycles_per_image", "adder_bits", "memory_bits")
SHOWN = ("cycles_per_image", "latency_cycles", "images_per_s_at_100_mhz", "energy_model_nj", *WITHOUT_AREA[1:])


def register(app: typer.Typer) -> None:
    """Add the command ``explore``."""
    app.command("explore", epilog="Example: tritforge explore --no-area --picture space.png --json space.json")(explore)


def explore(
    context: typer.Context,
    network: Annotated[
        Path | None, typer.Argument(metavar="[NETWORK]", help="Network file; else ResNet-20 with random weights.")
    ] = None,
    zero_groups: Annotated[float, typer.Option("--zero-groups", help="Zero part of the random groups.")] = 0.5,
    pes: Annotated[list[int], typer.Option("--pes", help="P; may be given several times.")] = PES,
    groups: Annotated[list[int], typer.Option("--group-channels", help="C_g, likewise.")] = GROUP_CHANNELS,
    bits: Annotated[list[int], typer.Option("--bits", help="Activation bits, likewise.")] = BITS,
    outputs: Annotated[list[int], typer.Option("--pass-outputs", help="Channels of a pass, likewise.")] = PASS_OUTPUTS,
    area: Annotated[bool, typer.Option("--area/--no-area", help="Synthesise each accelerator: minutes each.")] = True,
    processes: Annotated[int, typer.Option("--processes", help="Predictions and syntheses at a time.", min=1)] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random weights.")] = 0,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", help="Draw the accelerators.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of what is done; it is not done again.")] = Path(
        "runs/explore"
    ),
    json: JsonOption = None,
) -> None:
    """Predict cycles and energy of every accelerator for a network, synthesise it, and show those that none beats.

    Memories are as small as the network lets them be. A network file fixes C_g and activation bits.
    """
    held = load_network(network) if network else None
    sets = list(parameter_sets(pes, groups, bits, outputs))
    if held is not None:
        sets = [s for s in sets if (s.group_channels, s.activation_bits) == (held.group_channels, held.activation_bits)]
    if not sets:
        assert held is not None
        raise TritforgeError(
            f"the network has groups of {held.group_channels} channels and {held.activation_bits}-bit activations; "
            "none of the accelerators asked for has"
        )
    found: dict[str, Row] = {}
    calls = [(out, held, zero_groups, seed, parameters) for parameters in sets]
    with progress("predicting", total=len(sets), unit="accelerators") as advance:
        for index, row in in_processes(_modelled, calls, processes):
            found[name_of(sets[index])] = row
            advance(1)
    rows: list[Row] = [{"name": name_of(parameters), **found[name_of(parameters)]} for parameters in sets]
    refused = [row for row in rows if "refused" in row]
    rows = [row for row in rows if "refused" not in row]
    if not rows:
        raise CapacityError(f"no accelerator holds the network; {refused[0]['name']}: {refused[0]['refused']}")
    if area:
        with progress("synthesising", total=len(rows), unit="accelerators") as advance:
            for index, cells in in_processes(_synthesised, [(out, row) for row in rows], processes):
                rows[index] |= cells | {"fits_xc7z020": all(cells[name] <= limit for name, limit in XC7Z020.items())}
                advance(1)
    objectives = WITH_AREA if area else WITHOUT_AREA
    front = set(pareto(rows, objectives))
    for index, row in enumerate(rows):
        row["best"] = index in front
    shown = (*SHOWN, *AREA) if area else SHOWN
    echo(" ".join(["accelerator".ljust(16), *(name.rjust(len(name)) for name in shown)]))
    for row in sorted((row for row in rows if row["best"]), key=lambda row: row["cycles_per_image"]):
        echo(" ".join([row["name"].ljust(16), *(f"{row[name]:,.0f}".rjust(len(name)) for name in shown)]))
    echo(f"{len(front)} of {len(rows)} accelerators; no other is as good in {', '.join(objectives)}")
    if area:
        echo(f"{sum(row['fits_xc7z020'] for row in rows)} of {len(rows)} take no more than an XC7Z020 has.")
    echo("Cycles are predicted, energies a model, 100 MHz assumed: nothing was placed for 7-series.")
    if picture is not None:
        from tritforge.reports.hardware.design_space_picture import write_design_space_picture

        write_design_space_picture(picture, rows, objectives[1])
    metrics: dict[str, Any] = {"network": str(network or "resnet20, random weights"), "objectives": objectives}
    metrics |= {"accelerators": rows, "refused": refused}
    digest = network_digest(held) if held else ""
    write_result(context, json, metrics, seeds=[] if held else [seed], data_digest=digest)


def _modelled(out: Path, held: Network | None, zero_groups: float, seed: int, parameters: AcceleratorParameters) -> Row:
    """Predictions for one accelerator, from its folder where they are there; ``refused`` says what cannot fit."""
    given = held or resnet_network(
        20,
        zero_groups,
        activation_bits=parameters.activation_bits,
        group_channels=parameters.group_channels,
        seed=seed,
    )

    def work(_: Path) -> dict[str, Any]:
        try:
            return model(given, parameters)
        except CapacityError as error:
            return {"refused": str(error)}

    digest = network_digest(given)
    inputs = {"network": digest, "parameters": parameters.verilog_parameters()}
    return run_step(out / f"{name_of(parameters)}-{digest[:12]}", inputs, (), work).outcome


def _synthesised(out: Path, row: Row) -> Row:
    """Area of one accelerator; synthesis keeps what it did by its sources."""
    from tritforge.rtl.area import area_report

    parameters = AcceleratorParameters(**{name: row[name] for name in AcceleratorParameters.__dataclass_fields__})

    def work(_: Path) -> dict[str, Any]:
        total = area_report("accelerator", parameters.verilog_parameters()).total
        return {name: getattr(total, name) for name in AREA}

    inputs = {"parameters": parameters.verilog_parameters()}
    depths = "-".join(str(row[memory]) for memory in DEPTHS)
    return run_step(out / f"area-{row['name']}-{depths}", inputs, ("rtl",), work).outcome
