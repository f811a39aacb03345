"""Counts of simulations are read, added up and told by module, on a module of its own and on counts written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.cli.main import run
from tritforge.results import read_result
from tritforge.sim.simulator import coverage
from tritforge.sim.simulator.coverage import bench_tests, metrics, read_counts
from tritforge.sim.simulator.runner import run_bench
from tritforge.sim.simulator.verilator import COVERAGE_VARIABLE, build_folder

FIFO = {"Width": 33, "Depth": 8}


def point(source: str, line: int, kind: str, what: str, count: int, lines: str = "", instance: str = "") -> str:
    fields = {"f": source, "l": str(line), "n": "3", "t": kind, "page": f"v_{kind}/a{instance}", "o": what}
    fields |= {"S": lines} if lines else {}
    return "C '" + "".join(f"\1{key}\2{value}" for key, value in fields.items()) + f"' {count}\n"


def test_counts_of_several_simulations_are_added(tmp_path: Path) -> None:
    a, other, generated, bench = (f"/x/{n}.sv" for n in ("rtl/hdl/a", "rtl/hdl/b", "rtl/hdl/generated/c", "sim/hdl/d"))
    first = [
        point(a, 5, "line", "block", 4, "5-7,9"),
        point(a, 7, "branch", "if", 0, "7", "__W1"),
        point(a, 7, "branch", "else", 4, "", "__W1"),
        point(a, 9, "branch", "cond_then", 0, "9"),
        point(a, 2, "toggle", "x[0]:0->1", 1),
        point(a, 2, "toggle", "x[0]:1->0", 0),
        point(other, 1, "line", "block", 0, "1"),
        point(generated, 1, "line", "block", 0, "1"),
        point(bench, 1, "line", "block", 0, "1"),
    ]
    second = [point(a, 7, "branch", "if", 3, "7", "__W2"), point(a, 11, "branch", "if", 0, "11-12")]
    (tmp_path / "first.dat").write_text("# SystemC::Coverage-3\n" + "".join(first))
    (tmp_path / "second.dat").write_text("".join(second))
    alone = coverage.coverage(read_counts([tmp_path / "first.dat"]))
    assert alone[0].uncovered_lines == (7,) and alone[0].untaken_branches == ("7 if", "9 cond_then")
    both = coverage.coverage(read_counts([tmp_path / "first.dat", tmp_path / "second.dat"]))
    assert [each.module for each in both] == ["a", "b"]
    assert both[0].lines == 6 and both[0].uncovered_lines == (11, 12)
    assert both[0].branches == 4 and both[0].untaken_branches == ("9 cond_then", "11 if")
    assert (both[0].toggled, both[0].toggles) == (1, 2)
    figures = metrics(both)
    assert figures["line_coverage"] == pytest.approx(4 / 7) and figures["toggle_coverage"] == 0.5


def test_a_module_that_does_nothing_is_not_covered_and_its_bench_covers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ordinary = build_folder("fifo", parameters=FIFO)
    monkeypatch.setenv(COVERAGE_VARIABLE, str(tmp_path))
    assert build_folder("fifo", parameters=FIFO) != ordinary
    run_bench("tritforge.sim.benches.idle", "fifo", parameters=FIFO)
    (idle,) = coverage.coverage(read_counts(tmp_path.glob("*.dat")))
    assert idle.module == "fifo" and idle.lines > 5 and idle.uncovered_lines and idle.untaken_branches
    assert idle.toggled < idle.toggles
    run_bench("tritforge.sim.benches.fifo", "fifo", parameters=FIFO)
    assert run(["bench", "coverage", "--counts", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    assert "line_coverage        100.0 %" in capsys.readouterr().out
    held = read_result(tmp_path / "out.json").metrics
    assert held["simulations"] == 2 and held["line_coverage"] == 1.0 and held["branch_coverage"] == 1.0
    assert held["lines"] == idle.lines and held["modules"]["fifo"]["uncovered_lines"] == []


def test_the_benches_of_all_modules_are_among_the_tests() -> None:
    named = set(bench_tests())
    assert {"tests/rtl/test_fifo.py", "tests/rtl/test_drain.py", "tests/rtl/test_host_interface.py"} <= named
    assert not named & {"tests/rtl/test_lint.py", "tests/rtl/test_elaboration.py"}
