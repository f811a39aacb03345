"""Which lines, branches and bits of the RTL the benches reach (``tritforge bench coverage``).

The tests named in :data:`TESTS` run on builds that count (see
:data:`tritforge.sim.simulator.verilator.COVERAGE_VARIABLE`); what their simulations counted is added up, whatever the
parameters of a module were. Only ``rtl/hdl`` is reported, without what is generated. A line counts as covered when all
code on it ran, a branch (each side of an ``if``, a case item, each side of ``?:``) when it was taken, a toggle when the
bit rose, another when it fell.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritforge.rtl import HDL
from tritforge.sim.simulator.verilator import COVERAGE_VARIABLE, SimulationError, tail

ROOT = Path(__file__).resolve().parents[2]
WHOLE = (
    "tests/sim/runs/test_accelerator_resets.py::test_a_reset_under_images_leaves_nothing_behind",
    "tests/sim/runs/test_core.py::test_sixteen_bits",
)
"""Tests of the accelerator and of the core; all benches of single modules come before them."""

Place = tuple[str, int, int, str]
"""Where something is counted: source, line, column, and what: ``if``, ``else``, ``block``, ``count_o[1]:0->1``."""


@dataclass
class Point:
    """How often something happened, and the lines of code that ran with it, none for a bit or an empty branch."""

    kind: str
    count: int = 0
    lines: set[int] = field(default_factory=set)


Counts = dict[Place, Point]


@dataclass(frozen=True)
class ModuleCoverage:
    """A module's lines, branches and toggles; those not reached by line, branches as ``line what``."""

    module: str
    lines: int
    uncovered_lines: tuple[int, ...]
    branches: int
    untaken_branches: tuple[str, ...]
    toggles: int
    toggled: int


def read_counts(files: Iterable[Path]) -> Counts:
    """Add up the count files of simulations; points of other sources than ``rtl/hdl`` are left out."""
    counts: Counts = {}
    for file in files:
        for fields, count in _points(file.read_text(encoding="utf-8", errors="replace")):
            source = Path(fields["f"])
            if source.parent.parts[-2:] != HDL.parts[-2:]:
                continue
            place = (source.stem, int(fields["l"]), int(fields["n"]), fields["o"])
            point = counts.setdefault(place, Point(fields["t"]))
            point.count += count
            point.lines |= set(_lines(fields.get("S", "")))
    return counts


def coverage(counts: Counts) -> list[ModuleCoverage]:
    """What was reached of each module, by name."""
    modules: dict[str, list[tuple[Place, Point]]] = defaultdict(list)
    for place, point in sorted(counts.items()):
        modules[place[0]].append((place, point))
    return [_of_module(name, points) for name, points in modules.items()]


def metrics(modules: list[ModuleCoverage]) -> dict[str, Any]:
    """The figures of a result file; shares are 0 to 1."""
    lines, branches = sum(each.lines for each in modules), sum(each.branches for each in modules)
    uncovered = sum(len(each.uncovered_lines) for each in modules)
    untaken = sum(len(each.untaken_branches) for each in modules)
    toggles, toggled = sum(each.toggles for each in modules), sum(each.toggled for each in modules)
    return {
        "lines": lines,
        "line_coverage": _share(lines - uncovered, lines),
        "branches": branches,
        "branch_coverage": _share(branches - untaken, branches),
        "toggles": toggles,
        "toggle_coverage": _share(toggled, toggles),
        "modules": {
            each.module: {
                "lines": each.lines,
                "line_coverage": _share(each.lines - len(each.uncovered_lines), each.lines),
                "uncovered_lines": each.uncovered_lines,
                "untaken_branches": each.untaken_branches,
                "toggle_coverage": _share(each.toggled, each.toggles),
            }
            for each in modules
        },
    }


def measure(counts: Path | None = None) -> tuple[list[ModuleCoverage], int]:
    """Coverage of every module and the number of simulations, from a folder of counts or by running the tests.

    Raises:
        SimulationError: a test fails on the builds that count.
    """
    with tempfile.TemporaryDirectory(prefix="tritforge-coverage-") as scratch:
        folder = counts or Path(scratch)
        if counts is None:
            run_tests(folder, [*bench_tests(), *WHOLE])
        files = sorted(folder.glob("*.dat"))
        return coverage(read_counts(files)), len(files)


def run_tests(folder: Path, tests: Iterable[str]) -> None:
    """Run tests on builds that count; their counts come into ``folder``.

    Raises:
        SimulationError: a test failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *tests],
        cwd=ROOT,
        env={**os.environ, COVERAGE_VARIABLE: str(folder.resolve())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SimulationError(f"the tests fail on builds that count:\n{tail(done.stdout)}")


def bench_tests() -> list[str]:
    """The tests of single modules that run a bench; those of parameters that a module refuses run nothing."""
    files = sorted((ROOT / "tests" / "rtl").glob("test_*.py"))
    named = [file for file in files if "run_bench(" in file.read_text(encoding="utf-8")]
    return [str(file.relative_to(ROOT)) for file in named if file.stem != "test_elaboration"]


def _points(text: str) -> Iterator[tuple[dict[str, str], int]]:
    """Fields and count of each line ``C '\\1key\\2value...' count``."""
    for line in text.splitlines():
        if line.startswith("C '"):
            body, _, count = line[3:].rpartition("' ")
            yield dict(part.split("\2", 1) for part in body.split("\1") if part), int(count)


def _lines(ranges: str) -> Iterator[int]:
    """The lines of ``12-14,18``."""
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _of_module(name: str, points: list[tuple[Place, Point]]) -> ModuleCoverage:
    blocks: dict[int, bool] = {}
    for (_, _, _, what), point in points:
        if not what.startswith("cond_"):
            for line in point.lines:
                blocks[line] = blocks.get(line, True) and point.count > 0
    branches = [(place, point) for place, point in points if point.kind == "branch" or place[3] in ("case", "elsif")]
    toggles = [point.count > 0 for _, point in points if point.kind == "toggle"]
    return ModuleCoverage(
        module=name,
        lines=len(blocks),
        uncovered_lines=tuple(sorted(line for line, ran in blocks.items() if not ran)),
        branches=len(branches),
        untaken_branches=tuple(f"{line} {what}" for (_, line, _, what), point in branches if not point.count),
        toggles=len(toggles),
        toggled=sum(toggles),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
