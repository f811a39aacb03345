from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from demo_samples import made_up_demo, write_made_up_demo

from tritforge.cli.demo import command
from tritforge.cli.demo.steps import NETWORK, PATCH, UPDATED, Settings, one_byte_flipped, patch_step
from tritforge.cli.demo.summary import demo_details, demo_metrics, demo_table
from tritforge.cli.main import run
from tritforge.cli.shared.step_folder import Done
from tritforge.errors import PatchError, TritforgeError
from tritforge.network.file import load_network
from tritforge.network.network import group_sparsity
from tritforge.overlay.lowering import lower
from tritforge.patches.patch import apply_to_network
from tritforge.results import read_result

FIELDS = {
    "full_precision_accuracy",
    "fake_quantised_accuracy",
    "integer_accuracy",
    "equal_argmax_fraction",
    "zero_group_fraction",
    "rtl_images",
    "rtl_mismatching_words",
    "cycles_dense",
    "cycles_sparse",
    "speedup",
    "ideal_speedup",
    "patch_bytes",
    "full_update_bytes",
    "program_bytes",
    "updating_ratio",
    "accuracy_before_patch",
    "accuracy_after_patch",
    "accuracy_full_retraining",
    "mismatching_words_after_patch",
    "commit_pause_cycles",
    "words_written",
}


def test_metrics_hold_every_field_and_add_up(tmp_path: Path) -> None:
    demo = made_up_demo(tmp_path)
    metrics = demo_metrics(demo)
    assert metrics.keys() >= FIELDS
    assert metrics["speedup"] == 1950.0 / 1300.0
    tiles_groups = tiles_nonzero = 0
    for layer in demo_details(demo, tmp_path)["layers"]:
        tiles_groups += layer["tiles"] * layer["groups"]
        tiles_nonzero += layer["tiles"] * layer["nonzero_groups"]
    assert metrics["ideal_speedup"] == pytest.approx(tiles_groups / tiles_nonzero)
    assert metrics["program_bytes"] == demo.programs()[0].size_bytes
    assert (metrics["words_written"], metrics["commit_pause_cycles"]) == (17, 21)


@pytest.mark.parametrize("part", ["sparse", "dense", "after_refusal", "patched"])
def test_no_differing_word_is_lost(tmp_path: Path, part: str) -> None:
    demo = made_up_demo(tmp_path)
    outcome = (demo.simulated if part in ("sparse", "dense") else demo.patched).outcome
    outcome[part]["mismatching_words"] = 3
    metrics = demo_metrics(demo)
    assert metrics["rtl_mismatching_words"] + metrics["mismatching_words_after_patch"] == 3
    with pytest.raises(TritforgeError, match="in 3 words"):
        command._check(metrics, 93.25)


def test_another_accuracy_than_the_references_is_noticed(tmp_path: Path) -> None:
    metrics = demo_metrics(made_up_demo(tmp_path))
    command._check(metrics, 93.25)
    with pytest.raises(TritforgeError, match=r"93.25 % rightly, the integer network 93.00 %"):
        command._check(metrics, 93.0)


def test_changed_words_are_those_of_the_two_programs(tmp_path: Path) -> None:
    demo = made_up_demo(tmp_path)
    details = demo_details(demo, tmp_path)
    networks = load_network(tmp_path / details["network"]), load_network(demo.updated.folder / UPDATED)
    old, new = (lower(network, demo.parameters) for network in networks)
    for space, memory in details["memories"].items():
        assert memory["words"] == len(old.images[space])
        assert memory["changed"] == np.flatnonzero(old.images[space] != new.images[space]).tolist()
    parts = details["weight_words"]
    assert sum(part["words"] for part in parts) == details["memories"]["weights"]["words"]
    assert [part["first"] for part in parts] == np.cumsum([0, *(part["words"] for part in parts[:-1])]).tolist()


def test_further_seeds_give_values_mean_and_deviation(tmp_path: Path) -> None:
    demo = made_up_demo(tmp_path)
    other = replace(demo.trained, outcome=demo.trained.outcome | {"integer_accuracy": 96.0})
    figures = demo_metrics(demo, [(other, demo.updated)])["per_seed"]["integer_accuracy"]
    assert figures == {"values": [98.0, 96.0], "mean": fmean([98.0, 96.0]), "deviation": stdev([98.0, 96.0])}


def test_the_table_tells_the_metrics(tmp_path: Path) -> None:
    from rich.console import Console

    demo = made_up_demo(tmp_path)
    metrics = demo_metrics(demo)
    console = Console(width=200, file=io.StringIO())
    console.print(demo_table(metrics, demo.parameters))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for told in ("98.00 %", "1.50 ×", "54.50 %", f"{metrics['patch_bytes']:,} B", "17 words", "21 cycles", "93.25 %"):
        assert told in text


def test_a_flipped_byte_never_passes(tmp_path: Path) -> None:
    demo = made_up_demo(tmp_path)
    patch = (demo.updated.folder / PATCH).read_bytes()
    damaged = one_byte_flipped(patch)
    assert sum(a != b for a, b in zip(patch, damaged, strict=True)) == 1
    network = load_network(demo.trained.folder / NETWORK)
    apply_to_network(network, patch)
    with pytest.raises(PatchError):
        apply_to_network(network, damaged)


def test_an_update_without_a_patch_is_told(tmp_path: Path) -> None:
    demo = made_up_demo(tmp_path)
    nothing = Done({"patch_bytes": 0}, demo.updated.folder, False)
    with pytest.raises(TritforgeError, match="nothing is sent"):
        patch_step(tmp_path, Settings(0, demo.parameters), demo.trained, nothing)


def test_an_accelerator_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--pes", "5", "--out", str(tmp_path / "demo")]) == 2
    assert capsys.readouterr().err == "parameter pes is 5; allowed are 4, 8, 16, 32\n"
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_the_whole_demo_on_a_short_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    from tritforge.compress.run.recipe import load_recipe
    from tritforge.compress.studies import demo_run

    def short(name: str, overrides: list[str]):
        return load_recipe(name, [*overrides, "epochs=12"])

    monkeypatch.setattr(demo_run, "load_recipe", short)
    arguments = ["demo", "--images", "6", "--pes", "4", "--out", str(tmp_path), "--json", str(tmp_path / "copy.json")]
    assert run(arguments) == 0
    told = capfd.readouterr()
    assert "a patch with one flipped byte was refused" in told.err and "differing words" in told.out
    result = read_result(tmp_path / "result.json")
    assert read_result(tmp_path / "copy.json").metrics == result.metrics
    metrics = result.metrics
    assert metrics["rtl_images"] == 6
    assert metrics["rtl_mismatching_words"] == metrics["mismatching_words_after_patch"] == 0
    assert metrics["zero_group_fraction"] == group_sparsity(load_network(tmp_path / "training-seed0" / NETWORK))
    assert 1 < metrics["speedup"] < metrics["ideal_speedup"]
    assert metrics["words_written"] > 0 and metrics["commit_pause_cycles"] <= metrics["words_written"] + 32
    assert (tmp_path / "report.html").stat().st_size > 10_000

    assert run(arguments) == 0  # nothing is repeated, and the same comes out
    assert capfd.readouterr().err.count("done before") == 4
    assert read_result(tmp_path / "result.json").metrics == metrics


def test_report_draws_the_demos_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_made_up_demo(tmp_path)
    assert run(["report", "demo", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    assert json.loads((tmp_path / "details.json").read_text())["network"] == "training-seed0/" + NETWORK
