from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritforge.errors import ResultFileError
from tritforge.reports.pages.peers import (
    AREA,
    BEGIN,
    COLUMNS,
    END,
    EVALUATED,
    FULL,
    PEERS,
    SHORT,
    SIMULATED,
    own_row,
    tables,
    with_table,
)
from tritforge.results import Result, read_result

ROOT = Path(__file__).resolve().parents[3]
SIMULATION = Result(
    command="tritforge simulate",
    metrics={
        "pes": 16,
        "activation_bits": 8,
        "zero_group_fraction": 0.5123,
        "cycles_per_image": 8000.0,
        "latency_cycles": 12345,
    },
)
EVALUATION = Result(command="tritforge evaluate", metrics={"integer_accuracy": 87.654, "images": 10000})
CELLS = Result(
    command="tritforge bench area",
    metrics={"pes": 16, "activation_bits": 8, "lut": 30000, "ff": 60000, "bram36": 90.5, "dsp": 100},
)


def test_our_row_says_what_it_rests_on() -> None:
    row = own_row(SIMULATION, EVALUATION, CELLS)
    assert row["images_per_s"] == 12500 and row["latency_ms"] == 0.12345 and row["top1"] == "87.65 % (JPEG)"
    assert "assumed" in row["mhz"] and "51.2 % of groups zero" in row["system"] and "8,000 cycles" in row["source"]
    assert [row[name] for name in ("lut", "ff", "bram", "dsp")] == [30000, 60000, 90.5, 100]
    with pytest.raises(ResultFileError, match="lacks 'zero_group_fraction'"):
        own_row(Result(command="tritforge bench layers", metrics={"pes": 16, "activation_bits": 8}), EVALUATION, CELLS)
    with pytest.raises(ResultFileError, match="lacks 'integer_accuracy'"):
        own_row(SIMULATION, SIMULATION, CELLS)
    with pytest.raises(ResultFileError, match="arrays that differ in pes or activation_bits"):
        own_row(SIMULATION, EVALUATION, Result(command="tritforge bench area", metrics=CELLS.metrics | {"pes": 8}))


def test_every_peer_names_its_source_and_stands_in_the_tables() -> None:
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    short, full = tables(SIMULATION, EVALUATION, CELLS)
    for kind, rows in peers.items():
        for row in rows:
            assert row["source"] and set(row) <= set(COLUMNS)
            assert row["system"] in full and (row["system"] in short) == (kind == "xc7z020")
            assert row["source"] in full and (row["source"] in short) == (kind == "xc7z020")
    assert "| 12,500 | 0.1235 ms |" in short and "| 2,431 |" in short and "| 84.5 % |" in short
    for table in (short, full):
        header, rule, *lines = table.split("\n\n")[0].splitlines()
        assert {line.count("|") for line in (header, rule, *lines)} == {header.count("|")}
        assert "nothing of it is placed" in table and "harder than the originals" in table


def test_a_page_without_markers_is_refused() -> None:
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ResultFileError, match="lacks the markers"):
        with_table("a", "new")


def test_the_pages_hold_the_recorded_tables() -> None:
    recorded = tables(*(read_result(ROOT / path) for path in (SIMULATED, EVALUATED, AREA)))
    for page, table in zip((SHORT, FULL), recorded, strict=True):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert with_table(text, table) == text
