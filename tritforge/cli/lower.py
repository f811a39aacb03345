"""``tritforge lower``: a network file to an overlay program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tritforge.cli.shared.accelerator_options import DepthsOption, FitOption, PesOption, accelerator_for
from tritforge.cli.shared.echo import echo
from tritforge.cli.shared.options import JsonOption, write_result
from tritforge.network.file import load_network
from tritforge.overlay import lowering
from tritforge.overlay.program import save_program


def register(app: typer.Typer) -> None:
    """Add the command ``lower``."""
    app.command("lower", epilog="Example: tritforge lower digits.safetensors -o digits.program --pes 16")(lower)


def lower(
    context: typer.Context,
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="Network file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Program file to write.")],
    pes: PesOption = 16,
    memory: DepthsOption = None,
    fit: FitOption = False,
    every_group: Annotated[bool, typer.Option("--every-group", help="Store and issue zero groups too.")] = False,
    json: JsonOption = None,
) -> None:
    """Lower a network file to the overlay program of an accelerator."""
    held = load_network(network)
    parameters = accelerator_for(held, pes, memory, fit)
    program = lowering.lower(held, parameters, every_group=every_group)
    save_program(output, program)
    words = {space: len(image) for space, image in program.images.items()}
    for space, count in words.items():
        echo(f"{space:12}  {count:6} words")
    echo(f"{'program':12}  {program.size_bytes:6} bytes, digest {program.digest[:16]}, written to {output}")
    metrics = {"program_bytes": program.size_bytes, "words": words, "program_digest": program.digest}
    write_result(context, json, metrics, data_digest=program.network_digest)
