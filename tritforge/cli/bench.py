"""``tritforge bench``: measurements of the accelerator and of training, each with its baseline in the same run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tritforge.cli.shared.accelerator_options import DepthsOption, PesOption, with_depths
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, progress, write_result
from tritforge.cli.shared.processes import in_processes
from tritforge.cli.shared.step_folder import run_step
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.resnet_network import resnet_network

group = typer.Typer(
    help="Measure the accelerator, and a step of training, each time with its baseline in the same run.",
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
    from tritforge.reports.hardware.table7 import TABLE_7 as PAPER
    from tritforge.sim.measure.layers import TABLE_7, bench_layers

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits, slots=8192)
    with progress("simulating", total=2 * len(TABLE_7), unit="runs") as advance:
        speeds = bench_layers(parameters, TABLE_7, repeats, seed, advance)
    metrics = {"pes": pes, "repeats": repeats, "activation_bits": bits, "layers": [asdict(speed) for speed in speeds]}
    echo("layer    groups non-zero cycles dense cycles sparse speedup ideal of ideal alone Table 7")
    for speed, paper in zip(speeds, PAPER, strict=True):
        echo(
            f"{speed.name:8} {speed.groups:6} {speed.nonzero_groups:8} {speed.cycles_dense:12.0f}"
            f" {speed.cycles_sparse:13.0f} {speed.speedup:7.3f} {speed.ideal_speedup:5.3f} {speed.efficiency:8.1%}"
            f" {speed.isolated_speedup:5.3f} {paper.speedup:7.2f}"
        )
    write_result(context, json, metrics, seeds=[seed])


@group.command(
    epilog="Example: tritforge bench network --zero-groups 0.5 --images 1000 --processes 2 --json network.json"
)
def network(
    context: typer.Context,
    depth: Annotated[int, typer.Option("--depth", help="ResNet-20, 32, 44 or 56.")] = 20,
    zero_groups: Annotated[float, typer.Option("--zero-groups", help="Part of every layer's groups, 0 to 1.")] = 0.5,
    pes: PesOption = 16,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    images: Annotated[int, typer.Option("--images", help="Images back to back, zero groups skipped.", min=2)] = 12,
    dense_images: Annotated[int, typer.Option("--dense-images", help="Images with every group issued.", min=2)] = 12,
    processes: Annotated[int, typer.Option("--processes", help="Simulations at a time.", min=1)] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and pixels.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder of the pieces; what is there is not run again.")] = Path(
        "runs/bench_network"
    ),
    json: JsonOption = None,
) -> None:
    """Cycles of a ResNet with random weights and an exact part of its groups zero, against every group issued.

    The multi-bit layers, stem and classifier, keep all their groups. Every word of every map is compared.
    """
    from tritforge.sim.measure.network import pieces, summary
    from tritforge.sim.runs.accelerator import build_accelerator

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits)
    held = _random_resnet(depth, zero_groups, parameters, seed)
    parts = pieces(images, dense_images)
    for every_group in (False, True):
        build_accelerator(fitting_parameters(held, parameters, every_group))
    folder = out / f"resnet{depth}-{100 * zero_groups:g}-p{pes}-a{bits}-s{seed}"
    calls = [(folder, depth, zero_groups, parameters, part, seed) for part in parts]
    figures: dict[str, dict[str, Any]] = {}
    with progress("simulating", total=images + dense_images, unit="images") as advance:
        for index, outcome in in_processes(_network_piece, calls, processes):
            figures[parts[index].name] = outcome
            advance(parts[index].count)
    metrics: dict[str, Any] = {"network": f"resnet{depth}", "zero_groups": zero_groups, "pes": pes}
    metrics |= {"activation_bits": bits} | summary(held, parameters, [(part, figures[part.name]) for part in parts])
    for name, value in metrics.items():
        if isinstance(value, int | float):
            echo(f"{name:38}  {value:,.3f}" if isinstance(value, float) else f"{name:38}  {value:,}")
    for suffix in ("", "_every_group"):
        told = ", ".join(f"{part} {value:,.0f}" for part, value in metrics[f"energy_model_nj{suffix}"].items())
        echo(f"{f'energy_model_nj{suffix}':38}  {told} (a model, 45 nm)")
    write_result(context, json, metrics, seeds=[seed], data_digest=network_digest(held))
    if metrics["mismatching_words"]:
        raise typer.Exit(1)


def _random_resnet(depth: int, zero_groups: float, parameters: AcceleratorParameters, seed: int) -> Network:
    """The network of ``bench network``, grouped and as wide as the accelerator takes it."""
    return resnet_network(
        depth,
        zero_groups,
        activation_bits=parameters.activation_bits,
        group_channels=parameters.group_channels,
        seed=seed,
    )


def _network_piece(
    folder: Path, depth: int, zero_groups: float, parameters: AcceleratorParameters, piece: Any, seed: int
) -> dict[str, Any]:
    """A piece of ``bench network``, from its folder where it is there."""
    from tritforge.sim.measure.network import run_piece

    held = _random_resnet(depth, zero_groups, parameters, seed)
    inputs = {"network": network_digest(held), "parameters": asdict(parameters), "piece": asdict(piece), "seed": seed}

    def work(_: Path) -> dict[str, Any]:
        return run_piece(held, parameters, piece, seed)

    return run_step(folder / piece.name, inputs, ("rtl", "sim"), work).outcome


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
    from tritforge.sim.measure.equality import check_equality

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits, slots=8192)
    with progress("simulating", total=layers + networks, unit="networks") as advance:
        outcome = check_equality(parameters, layers, networks, seed, advance)
    for name, value in asdict(outcome).items():
        echo(f"{name:18}  {value}")
    write_result(context, json, {"pes": pes, "activation_bits": bits} | asdict(outcome), seeds=[seed])
    if outcome.mismatching_words:
        raise typer.Exit(1)


@group.command(epilog="Example: tritforge bench model --pes 16 --networks 100 --json model.json")
def model(
    context: typer.Context,
    pes: PesOption = 16,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    networks: Annotated[int, typer.Option("--networks", help="Random networks.", min=0)] = 100,
    resnets: Annotated[bool, typer.Option(help="ResNet-20, 32, 44 and 56 too, half of their groups zero.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Seed of networks and pixels.")] = 0,
    json: JsonOption = None,
) -> None:
    """Predicted cycles against those of the simulated accelerator, for images that stream in back to back."""
    from tritforge.sim.measure.cycle_model import compare_cycles, random_cases, resnet_cases, summary

    parameters = AcceleratorParameters(pes=pes, activation_bits=bits)
    cases = [*random_cases(parameters, networks, seed), *(resnet_cases(parameters, seed) if resnets else ())]
    with progress("simulating", total=sum(1 + len(images) for _, _, images in cases), unit="images") as advance:
        rows = compare_cycles(parameters, cases, seed + 1, advance)
    metrics = {"pes": pes, "activation_bits": bits} | summary(rows)
    for name, value in metrics.items():
        echo(f"{name:22}  {value}")
    write_result(context, json, metrics | {"rows": rows}, seeds=[seed])
    if metrics["networks_close"] < metrics["networks"] or metrics["mismatching_words"]:
        raise typer.Exit(1)


@group.command(epilog="Example: tritforge bench area --pes 16 --bits 8 --json area.json")
def area(
    context: typer.Context,
    pes: PesOption = 16,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    memory: DepthsOption = None,
    module: Annotated[
        str, typer.Option("--module", help="A module of the accelerator, with all below it.")
    ] = "accelerator",
    json: JsonOption = None,
) -> None:
    """Area on 7-series by Yosys, module by module, with the deepest paths and highest fan-outs. Nothing is placed.

    A module is synthesised once and kept until its sources or parameters change.
    """
    from tritforge.rtl.area import NOTE, area_report

    parameters = with_depths(AcceleratorParameters(pes=pes, activation_bits=bits), memory)
    with progress("synthesising", total=None, unit="modules") as advance:
        report = area_report(module, parameters.verilog_parameters(), lambda _: advance(1))
    echo("module                 count    lut  logic lutram  srl     ff carry4 bram36 dsp")
    rows = [(unit.module, count, own) for unit, count, own in report.units]
    for name, count, own in [*rows, ("total", 1, report.total)]:
        echo(
            f"{name:22} {count:5} {own.lut:6} {own.lut_logic:6} {own.lutram:6} {own.srl:4} {own.ff:6} {own.carry4:6}"
            f" {own.bram36:6.1f} {own.dsp:3}"
        )
    if report.lut_per_lane is not None:
        echo(f"LUT per lane, PE and accumulate adder: {report.lut_per_lane:.2f}")
    for unit, depth in (("LUT levels", report.paths.luts), ("CARRY4", report.paths.carry4)):
        echo(f"deepest path: {depth.levels} {unit}, {depth.start} to {depth.end}")
    for net, loads in report.paths.fan_out[:5]:
        echo(f"fan-out: {loads} loads of {net}")
    echo(NOTE)
    write_result(context, json, report.metrics() | {"pes": pes, "activation_bits": bits, "module": module})


@group.command(epilog="Example: tritforge bench timing --module window_loader --json timing.json")
def timing(
    context: typer.Context,
    pes: PesOption = 16,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    memory: DepthsOption = None,
    module: Annotated[
        str, typer.Option("--module", help="A module of the accelerator, with all below it.")
    ] = "accelerator",
    json: JsonOption = None,
) -> None:
    """Estimate the slowest paths on 7-series from public delays of cells, with two models of wires.

    Nothing is placed: this is no timing closure. A module is synthesised once, as for bench area.
    """
    from tritforge.rtl.timing import NOTE, PERIODS_NS, timing_report

    parameters = with_depths(AcceleratorParameters(pes=pes, activation_bits=bits), memory)
    with progress("synthesising", total=None, unit="modules") as advance:
        report = timing_report(module, parameters.verilog_parameters(), lambda _: advance(1))
    echo("wires        slowest ns    MHz endpoints, slower than: " + " ".join(f"{p:>6g} ns" for p in PERIODS_NS))
    for wires, found in report.by_wires.items():
        missing = " ".join(f"{count:9,}" for count in found.misses.values())
        echo(f"{wires:12} {found.worst_ns:10.3f} {found.mhz:6.1f} {found.endpoints:9,}              {missing}")
    for wires, found in report.by_wires.items():
        echo(f"slowest paths with {wires} wires, one for each pair of registers: ns, those of wires, way")
        for path in found.paths:
            end = f"{path.end}.{path.pin}" if path.pin else path.end
            echo(f"{path.delay_ns:7.3f} {path.wires_ns:6.3f}  {path.start} to {end}: {path.cells()}")
    echo(NOTE)
    write_result(context, json, report.metrics() | {"pes": pes, "activation_bits": bits})


@group.command(epilog="Example: tritforge bench place --module pe_array --pes 4 --json place.json")
def place(
    context: typer.Context,
    module: Annotated[str, typer.Option("--module", help="A module of the accelerator, with all below it.")],
    pes: PesOption = 4,
    bits: Annotated[int, typer.Option("--bits", help="Activation bits, 8 or 16.")] = 8,
    memory: DepthsOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the placement.", min=1)] = 1,
    json: JsonOption = None,
) -> None:
    """Place and route a module on a Lattice ECP5, another fabric than the XC7Z020: its clock and cells there.

    The module lies between two chains of registers, which take its inputs in and its outputs out bit by bit.
    """
    from tritforge.rtl.placement import NOTE, PART, TARGET_MHZ
    from tritforge.rtl.placement import place as place_module

    parameters = with_depths(AcceleratorParameters(pes=pes, activation_bits=bits), memory)
    placement = place_module(module, parameters.verilog_parameters(), seed)
    echo(f"Fmax {placement.fmax_mhz:.1f} MHz, aimed at {TARGET_MHZ} MHz")
    for kind, used in placement.used.items():
        echo(f"{kind:14} {used:6} of {placement.available[kind]:6}")
    echo(f"flip-flops of the two chains: {placement.chain_flip_flops}")
    echo(NOTE)
    metrics = {"note": NOTE, "part": PART, "target_mhz": TARGET_MHZ} | asdict(placement)
    write_result(context, json, metrics | {"pes": pes, "activation_bits": bits, "module": module}, seeds=[seed])


@group.command(epilog="Example: tritforge bench step --threads 2 --json step.json")
def step(
    context: typer.Context,
    depth: Annotated[int, typer.Option("--depth", help="ResNet-20, 32, 44 or 56.")] = 20,
    batch: Annotated[int, typer.Option("--batch", help="Images of a step.", min=2)] = 128,
    repeats: Annotated[int, typer.Option("--repeats", help="Timed steps of each kind.", min=1)] = 15,
    threads: Annotated[int, typer.Option("--threads", help="Threads of torch.", min=1)] = 1,
    bfloat16: Annotated[bool, typer.Option(help="Autocast to bfloat16.")] = True,
    channels_last: Annotated[bool, typer.Option(help="Memory layout of maps and weights.")] = True,
    fused: Annotated[bool, typer.Option(help="Joined passes over maps.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and pixels.")] = 0,
    json: JsonOption = None,
) -> None:
    """Seconds of an optimiser step on the CPU: full precision, ternary with penalty, and with 8-bit activations too."""
    from tritforge.compress.studies.step_timing import WARM_UP, bench_steps, step_recipes

    options: dict[str, Any] = {"threads": threads, "bfloat16": bfloat16, "channels_last": channels_last, "fused": fused}
    recipes = step_recipes(f"resnet{depth}", batch, **options)
    with progress("training", total=len(recipes) * (WARM_UP + repeats)) as advance:
        figures = bench_steps(recipes, repeats, seed=seed, advance=advance).figures()
    for name, value in figures.items():
        echo(f"{name:40}  {value:.4f}")
    write_result(context, json, {"topology": f"resnet{depth}", "batch_size": batch} | options | figures, seeds=[seed])


@group.command(epilog="Example: tritforge bench coverage --json coverage.json")
def coverage(
    context: typer.Context,
    counts: Annotated[
        Path | None,
        typer.Option(
            "--counts",
            metavar="FOLDER",
            help="Read the counts that lie here instead of running the tests.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Lines, branches and toggles of the RTL that the benches reach; runs in a checkout, for about half an hour."""
    from tritforge.sim.simulator.coverage import measure, metrics

    modules, simulations = measure(counts)
    for each in modules:
        covered = each.lines - len(each.uncovered_lines)
        uncovered = " ".join(map(str, each.uncovered_lines))
        echo(
            f"{each.module:20} lines {covered:4} of {each.lines:4}  toggles {each.toggled:6} of {each.toggles:6}"
            f"  {uncovered}"
        )
    figures = metrics(modules) | {"simulations": simulations}
    for name in ("line_coverage", "branch_coverage", "toggle_coverage"):
        echo(f"{name:20} {100 * figures[name]:.1f} %")
    write_result(context, json, figures)
