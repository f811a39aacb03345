from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tritforge.cli.main import run
from tritforge.reports.drawing.result_table import cell, result_tables
from tritforge.reports.hardware.table7 import COLUMNS, TABLE_7, layers_table
from tritforge.results import Result, write_result


def bench_layers() -> dict[str, Any]:
    names = ("first", "second", "third", "fourth")
    return {
        "pes": 8,
        "layers": [
            {"name": name, "groups": 1000, "nonzero_groups": 500, "cycles_dense": 12345.0, "cycles_sparse": 6300.0}
            | {"speedup": 1.96, "ideal_speedup": 2.0, "efficiency": 0.98, "isolated_speedup": 1.9}
            for name in names
        ],
    }


@pytest.fixture()
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "220")
    write_result("layers.json", Result(command="tritforge bench layers", metrics=bench_layers(), seeds=[3]))
    return tmp_path / "layers.json"


def test_table_7_stands_beside_our_layers(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "layers", "layers.json"]) == 0
    told = capsys.readouterr().out
    for text in ("1.56 ×", "1.69 ×", "1.73 ×", "88 %", "87 %", "80 %", "98.0 %", "12,345", "Table 7"):
        assert text in told


def test_only_three_layers_have_a_counterpart() -> None:
    rows = layers_table(bench_layers())
    assert [len(row) for row in rows] == [len(COLUMNS)] * 4
    assert [row[-3] for row in rows] == ["1.56 ×", "1.69 ×", "1.73 ×", ""]
    assert [f"{layer.ideal_speedup:.2f}" for layer in TABLE_7] == ["1.78", "1.94", "2.15"]
    assert [round(100 * layer.fraction_of_ideal) for layer in TABLE_7] == [88, 87, 80]


def test_any_result_file_becomes_tables(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "layers.json"]) == 0
    told = capsys.readouterr().out
    assert "isolated_speedup" in told and "fourth" in told and "12,345" in told
    assert "seeds [3]" in told


def test_records_become_a_table_of_their_own() -> None:
    metrics = {"a": 1, "rows": [{"x": 1, "y": 2.5}, {"x": 3, "z": "t"}], "list": [1, 2], "map": {"k": 0.125}}
    plain, rows = result_tables("command", metrics)
    assert plain.rows == [("a", "1"), ("list", "1, 2"), ("map", "k 0.125")]
    assert (rows.columns, rows.rows) == (("x", "y", "z"), [("1", "2.5", ""), ("3", "", "t")])


def test_numbers_are_told_plainly() -> None:
    told = [cell(value) for value in (1234567, 0.123456, 45678.9, True, None, "text")]
    assert told == ["1,234,567", "0.1235", "45,679", "True", "", "text"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["layers"], "report layers needs the result file"),
        (["missing.json"], "cannot read missing.json"),
        (["layers.json", "more"], "takes no second argument"),
        (["demo", "nowhere"], "cannot read nowhere/result.json"),
    ],
)
def test_mistakes_are_told(
    result: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_another_commands_file_is_no_table_7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path / "other.json", Result(command="tritforge train", metrics={"epochs": 3}))
    assert run(["report", "layers", str(tmp_path / "other.json")]) == 2
    assert "no metrics of tritforge bench layers" in capsys.readouterr().err
