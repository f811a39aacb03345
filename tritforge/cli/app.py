"""The ``tritforge`` application, put together from the command modules found beside this file."""

from __future__ import annotations

import pkgutil
import time
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from tritforge import cli

ORDER = (
    "demo",
    "data",
    "train",
    "evaluate",
    "export",
    "lower",
    "simulate",
    "bench",
    "explore",
    "hls",
    "update",
    "patch",
    "board",
    "experiment",
    "study",
    "report",
)


def build_app() -> typer.Typer:
    """The application with every command whose module holds ``register(app)``, in the order of the workflow."""
    app = typer.Typer(
        name="tritforge",
        help="Train a ternary, PE-wise pruned CNN, run it on a zero-skipping accelerator, and update it by patches.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_begin)
    for name in command_modules():
        import_module(f"{cli.__name__}.{name}").register(app)
    return app


def command_modules() -> list[str]:
    """Names of the command modules, without the package."""
    found = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    commands = [name for name in found if hasattr(import_module(f"{cli.__name__}.{name}"), "register")]
    return sorted(commands, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tritforge {version('tritforge')}")
        raise typer.Exit


def _begin(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = time.perf_counter()  # write_result() counts the seconds from here
