from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from compress_samples import SMALL

from tritforge.cli.main import run
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.recipe import parse_recipe
from tritforge.compress.studies.demo_run import train_demo
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network
from tritforge.patches.patch import apply_to_network

TINY = ["widths=[16]", "epochs=1", "batch_size=256", "checkpoint_steps=100"]


def overrides(*extra: str) -> list[str]:
    return [part for item in (*TINY, *extra) for part in ("--set", item)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder and its network file, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("commands")
    assert run(["train", "digits_ternary", "--run", str(folder / "run"), "--seed", "3", *overrides()]) == 0
    assert run(["export", str(folder / "run"), "-o", str(folder / "net.safetensors")]) == 0
    return folder


def metrics(path) -> dict:
    return json.loads(path.read_text())["metrics"]


def test_train_resumes_and_records_its_resolved_recipe(tmp_path, trained):
    result = tmp_path / "train.json"
    run_folder = str(trained / "run")
    assert (
        run(["train", "digits_ternary", "--run", run_folder, "--seed", "3", *overrides(), "--json", str(result)]) == 0
    )
    document = json.loads(result.read_text())
    assert document["seeds"] == [3]
    assert parse_recipe(document["arguments"]["recipe"], "the result").widths == (16,)
    assert document["metrics"]["resumed_from"] == 6
    assert set(document["metrics"]) == {
        "epochs",
        "step_seconds",
        "validation_accuracy",
        "zero_group_fraction",
        "resumed_from",
    }


def test_old_keys_are_read_and_one_line_tells_what_they_are_now(tmp_path, capsys):
    keys = overrides("penalty=0.5", "clipping=inf", "penalty=0.25")
    assert run(["train", "digits_ternary", "--run", str(tmp_path), *keys]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: each method has a table of its own in a recipe: penalty is now weight_penalty_cli")
    assert load_checkpoint(tmp_path).recipe.methods == {"weight_penalty_clipping": {"penalty": 0.25}}


def test_export_notes_the_networks_digest_in_the_checkpoint(trained):
    network = load_network(trained / "net.safetensors")
    assert load_checkpoint(trained / "run").network_digest == network_digest(network)
    assert network.provenance["seed"] == 3


def test_evaluate_gives_what_exists_for_each_kind_of_target(tmp_path, trained):
    result = tmp_path / "evaluate.json"
    assert run(["evaluate", str(trained / "run"), "--json", str(result)]) == 0
    of_run = metrics(result)
    assert run(["evaluate", str(trained / "net.safetensors"), "--json", str(result)]) == 0
    of_file = metrics(result)
    assert set(of_run) == {"images", "fake_quantised_accuracy", "integer_accuracy"}
    assert set(of_file) == {"images", "integer_accuracy"}
    assert of_run["integer_accuracy"] == of_file["integer_accuracy"]
    assert of_file["images"] == 360


def test_update_writes_a_patch_that_applies_to_the_deployed_network(tmp_path, trained):
    patch, result = tmp_path / "update.patch", tmp_path / "update.json"
    network = trained / "net.safetensors"
    arguments = ["update", str(network), "--checkpoint", str(trained / "run"), "--ratio", "0.05", "-o", str(patch)]
    kept = tmp_path / "kept.pt"
    assert run([*arguments, "--keep-checkpoint", str(kept), "--json", str(result)]) == 0
    figures = metrics(result)
    assert figures["patch_bytes"] == patch.stat().st_size
    assert 0 < figures["updating_ratio"] <= 0.05
    assert figures["validation_after"] > figures["validation_before"]
    patched = apply_to_network(load_network(network), patch.read_bytes())
    assert network_digest(patched) == load_checkpoint(kept).network_digest != network_digest(load_network(network))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "digits_ternary", "--set", "epohcs=3"], "unknown key 'epohcs' in the command line; allowed are"),
        (
            ["train", "digits_ternary", "--set", "wpc.penalty=3"],
            "unknown table 'wpc' in the recipe; methods are weight_pen",
        ),
        (
            ["train", "digits_ternary", "--set", "weight_penalty_clipping.penalti=3"],
            "unknown key 'weight_penalty_clipping.penalti' in the recipe; allowed are weight_penalty_clipping.penalty,",
        ),
        (
            ["train", "digits_ternary", "--set", "weight_penalty_clipping.penalty=-1"],
            "is -1.0 in the recipe; the least",
        ),
        (["train", "digits_ternary", "--set", "widths=[16, 24]"], "24 input channels; the PE groups multiples of 16"),
        (["train", "mnist_ternary", "--data-folder", "/nowhere"], "data folder /nowhere does not exist"),
        (["train", "mnist_ternary"], "needs data_folder"),
        (
            ["train", "digits_ternary", "--set", "distillation.weight=0.5"],
            "distillation.weight is 0.5, but the recipe names no teacher",
        ),
        (
            ["train", "digits_ternary", "--set", "distillation.teacher=nowhere"],
            "nowhere cannot be the teacher: cannot read",
        ),
        (["train", "no_such"], "there is no recipe 'no_such'"),
        (["export", "nowhere"], "cannot read checkpoint nowhere"),
        (["evaluate", "nowhere.safetensors"], "nowhere.safetensors"),
        (["update", "nowhere.safetensors", "--checkpoint", "x"], "nowhere.safetensors"),
    ],
)
def test_mistakes_are_one_sentence_and_status_two(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TRITFORGE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_update_refuses_a_checkpoint_of_another_network(tmp_path, trained, capsys):
    assert run(["train", "digits_ternary", "--run", str(tmp_path / "other"), "--seed", "4", *overrides()]) == 0
    capsys.readouterr()
    network = str(trained / "net.safetensors")
    assert run(["update", network, "--checkpoint", str(tmp_path / "other"), "-o", str(tmp_path / "p")]) == 2
    assert "was not exported from this checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_full_disk_leaves_the_old_network_file_and_says_so(trained, monkeypatch, capsys):
    target = trained / "net.safetensors"
    before = target.read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tritforge.files.os.fsync", no_space)
    assert run(["export", str(trained / "run"), "-o", str(target)]) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert [path.name for path in trained.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.slow
def test_the_digits_acceptance_figures(tmp_path):
    runs = [train_demo(seed, tmp_path / str(seed)) for seed in (0, 1, 2)]
    integer = sum(item.integer_accuracy for item in runs) / 3
    full = sum(item.full_precision_accuracy for item in runs) / 3
    assert integer >= 98.0
    assert integer >= full - 1.0
    for item in runs:
        assert item.zero_group_fraction >= 0.5
        assert item.equal_argmax_fraction >= 0.995
        assert item.within_one_fraction >= 0.999


@pytest.mark.slow
def test_clipping_keeps_more_groups_empty_than_the_naive_combination(tmp_path):
    from tritforge.compress.training.train import train

    recipe = replace(SMALL, widths=(16, 32, 64), epochs=30, shift_pixels=0, checkpoint_steps=10**6)
    fractions = {
        name: train(
            with_settings(recipe, WeightPenaltyClippingSettings(0.004, clipping)), tmp_path / name
        ).zero_group_fraction
        for name, clipping in (("clipped", 1.5), ("naive", float("inf")))
    }
    assert fractions["clipped"] > fractions["naive"] + 0.1
    assert torch.get_num_threads() == recipe.threads
