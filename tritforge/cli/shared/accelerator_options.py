"""Options that name an accelerator: what every command that lowers or simulates takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from tritforge.errors import CapacityError
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import DEPTHS, AcceleratorParameters

PesOption = Annotated[int, typer.Option("--pes", help="P: output pixels computed side by side (4, 8, 16 or 32).")]
DepthsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--memory", metavar="NAME=DEPTH", help="Depth of a memory, such as slots=4096; may be given several times."
    ),
]
FitOption = Annotated[bool, typer.Option("--fit", help="Grow the memories until the network fits.")]


def accelerator_for(
    network: Network, pes: int, depths: list[str] | None = None, fit: bool = False
) -> AcceleratorParameters:
    """The accelerator that the options describe, with the widths and group shape of the network.

    Raises:
        ProgramError: a parameter is out of range.
        CapacityError: with ``fit``: the network does not fit whatever the depths; or an unknown memory is named.
    """
    parameters = AcceleratorParameters(
        pes=pes, group_channels=network.group_channels, activation_bits=network.activation_bits
    )
    parameters = with_depths(parameters, depths)
    return fitting_parameters(network, parameters) if fit else parameters


def with_depths(parameters: AcceleratorParameters, depths: list[str] | None) -> AcceleratorParameters:
    """The parameters with the depths of ``--memory``.

    Raises:
        ProgramError: a depth is out of range.
        CapacityError: an unknown memory is named.
    """
    for text in depths or ():
        name, _, depth = text.partition("=")
        if name not in DEPTHS or not depth.isdigit():
            raise CapacityError(f"--memory {text}: expected NAME=DEPTH with one of {', '.join(DEPTHS)}")
        parameters = replace(parameters, **{name: int(depth)})
    return parameters


def check_fits(network: Network, parameters: AcceleratorParameters) -> None:
    """Raise CapacityError now, before anything is built, when the network does not fit."""
    lower(network, parameters)
