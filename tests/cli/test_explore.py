"""explore: the table, the result file, the picture, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tritforge.cli import explore
from tritforge.cli.main import run
from tritforge.cost.design_space import Row, model, pareto
from tritforge.network.file import save_network
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import random_network

NETWORK = random_network(np.random.default_rng(21), max_size=5, max_channels=32, group_channels=16)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_network(Path("network.safetensors"), NETWORK)
    return tmp_path


def metrics(line: str) -> dict:
    assert run([*line.split(), "--json", "out.json"]) == 0
    return json.loads(Path("out.json").read_text())["metrics"]


def test_accelerators_of_a_network_file(capsys: pytest.CaptureFixture[str]) -> None:
    line = "explore network.safetensors --no-area --picture space.png"
    told = metrics(line)
    rows = told["accelerators"]
    assert [row["name"] for row in rows] == [f"P{p}-C16-A8-N{n}" for p in (4, 8, 16, 32) for n in (32, 64, 128)]
    for row in rows:
        parameters = AcceleratorParameters(pes=row["pes"], pass_outputs=row["pass_outputs"])
        assert row == model(NETWORK, parameters) | {"name": row["name"], "best": row["best"]}
    assert [row["best"] for row in rows] == [i in pareto(rows, told["objectives"]) for i in range(len(rows))]
    table = capsys.readouterr().out
    assert all((row["name"] in table) == row["best"] for row in rows) and "assumed" in table and "a model" in table
    assert Path("space.png").read_bytes().startswith(b"\x89PNG")
    assert metrics(line) == told


def test_what_was_done_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[AcceleratorParameters] = []

    def counted(network: object, parameters: AcceleratorParameters) -> Row:
        calls.append(parameters)
        return model(NETWORK, parameters)

    monkeypatch.setattr(explore, "model", counted)
    metrics("explore network.safetensors --no-area --pes 4 --pes 8 --pass-outputs 64")
    assert len(calls) == 2
    metrics("explore network.safetensors --no-area --pes 4 --pes 16 --pass-outputs 64")
    assert [parameters.pes for parameters in calls] == [4, 8, 16]


def test_area_decides_where_it_is_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def area(out: Path, row: Row) -> Row:
        return {"lut": 1000 - row["pes"], "ff": 1, "bram36": 140.5 if row["pes"] == 8 else 140, "dsp": 3}

    monkeypatch.setattr(explore, "_synthesised", area)
    told = metrics("explore network.safetensors --pass-outputs 64")
    assert told["objectives"] == ["cycles_per_image", "lut", "bram36"]
    best = [row for row in told["accelerators"] if row["best"]]
    assert [row["lut"] for row in best] == [1000 - row["pes"] for row in best] and best[-1]["pes"] == 32
    assert [row["fits_xc7z020"] for row in told["accelerators"]] == [True, False, True, True]
    assert "3 of 4 take no more than an XC7Z020 has" in capsys.readouterr().out


def test_a_random_resnet_in_two_processes() -> None:
    told = metrics("explore --no-area --pes 32 --bits 8 --pass-outputs 64 --processes 2")
    rows = {row["group_channels"]: row for row in told["accelerators"]}
    assert rows[16]["cycles_per_image"] < rows[8]["cycles_per_image"] and "random" in told["network"]


def test_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", "network.safetensors", "--no-area", "--bits", "16"]) == 2
    assert "8-bit activations; none of the accelerators asked for has" in capsys.readouterr().err
    assert run(["explore", "network.safetensors", "--no-area", "--pes", "5"]) == 2
    assert "pes is 5" in capsys.readouterr().err
