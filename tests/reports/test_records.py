"""What is recorded tells how to measure it again."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from tritforge.cli.app import build_app
from tritforge.results import read_result

RESULTS = Path(__file__).resolve().parents[2] / "reports/results"


def commands() -> set[str]:
    """Every command line without its values, as ``--help`` knows them."""
    found: set[str] = set()

    def walk(command: object, path: str) -> None:
        below = getattr(command, "commands", {})
        if not below:
            found.add(path)
        for name, one in below.items():
            walk(one, f"{path} {name}")

    walk(typer.main.get_command(build_app()), "tritforge")
    return found


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_command_is_one_that_there_is(path: Path) -> None:
    assert read_result(path).command in commands()


def test_the_commands_are_found() -> None:
    assert {"tritforge demo", "tritforge bench network", "tritforge study digits-seeds"} <= commands()
    assert "tritforge bench" not in commands()
