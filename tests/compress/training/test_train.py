from __future__ import annotations

import csv
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compress_samples import SMALL, changed, small_digits

from tritforge.compress.data.augmentation import draws_of_epoch
from tritforge.compress.engine.batches import augmentation
from tritforge.compress.layers.ternary import TernaryConv2d
from tritforge.compress.methods.group_sparsity import group_norms
from tritforge.compress.models.model import INPUT_SCALE
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tritforge.compress.run.lock import RunBusyError, locked
from tritforge.compress.run.recipe import load_recipe
from tritforge.compress.run.run_folder import CHECKPOINT_FILE
from tritforge.compress.run.schedules import one_cycle, steps_down
from tritforge.compress.training.train import remaining_steps, train
from tritforge.errors import RecipeError, TritforgeError


def test_statistics_settle_on_what_the_recipe_says(tmp_path):
    """Borders that come in with a shift darken what the stem sees, and with it the mean that its batch norm keeps."""
    data = small_digits()
    change = {"shift_pixels": 3, "epochs": 1, "learning_rate": 1e-9}
    settled = {
        on: train(replace(SMALL, **change, settled_on=on), tmp_path / on, dataset=data).model.state_dict()
        for on in ("plain", "augmented")
    }
    means = {on: state["stages.stem.norm.running_mean"] for on, state in settled.items()}
    assert torch.equal(settled["plain"]["stages.stem.conv.weight"], settled["augmented"]["stages.stem.conv.weight"])
    model = train(replace(SMALL, **change), tmp_path / "plain", dataset=data).model.train()
    augment = augmentation(replace(SMALL, **change), data)
    draws = draws_of_epoch(augment, len(data.train), SMALL.seed, 1)
    pixels = augment.change(torch.from_numpy(data.train.images), draws)
    with torch.no_grad():
        stem = model.stage("stem").conv((pixels.float() - model.zero_point) * INPUT_SCALE)
    away = {on: float((mean - stem.mean(dim=(0, 2, 3))).abs().max()) for on, mean in means.items()}
    assert away["augmented"] < 0.004 < 0.02 < away["plain"]  # the last batch is smaller, and weighs as much


class Stop(Exception):
    pass


def stop_after(steps: int):
    """A progress callback that ends the run from within after some steps of this process."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done == steps:
            raise Stop

    return advance


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(SMALL, tmp_path_factory.mktemp("whole"), dataset=small_digits())


def assert_same_weights(run, whole):
    ours, theirs = run.model.state_dict(), whole.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimizer": "sgd", "learning_rate": 0.05, "augmentation_keys": "sample", "norm_statistics": "frozen"},
        {"bfloat16": True, "channels_last": True},
    ],
)
def test_a_run_stopped_twice_ends_in_the_same_weights_and_log_bit_for_bit(tmp_path, whole, change):
    recipe, data = replace(SMALL, **change), small_digits()
    if change:
        whole = train(recipe, tmp_path / "whole", dataset=data)
    folder = tmp_path / "stopped"
    for steps in (4, 7):
        with pytest.raises(Stop):
            train(recipe, folder, dataset=data, advance=stop_after(steps))
    run = train(recipe, folder, dataset=data)
    assert run.resumed_from == 11
    assert_same_weights(run, whole)
    assert (folder / "log.csv").read_bytes() == (whole.folder / "log.csv").read_bytes()


def test_a_run_killed_between_two_checkpoints_repeats_the_lost_steps(tmp_path, whole):
    recipe = replace(SMALL, checkpoint_steps=4)
    program = f"""
        import os, signal
        from dataclasses import replace
        from compress_samples import SMALL, changed, small_digits
        from tritforge.compress.training.train import train
        steps = 0
        def advance(count):
            global steps
            steps += count
            if steps == 10:
                os.kill(os.getpid(), signal.SIGKILL)
        train(replace(SMALL, checkpoint_steps=4), {str(tmp_path)!r}, dataset=small_digits(), advance=advance)
    """
    tests = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tests, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert load_checkpoint(tmp_path).step == 8
    run = train(recipe, tmp_path, dataset=small_digits())
    assert run.resumed_from == 8
    assert_same_weights(run, whole)


def test_brevitas_layers_train_to_the_same_weights_and_deploy_as_plain_ones(tmp_path, whole):
    pytest.importorskip("brevitas", reason="Brevitas is not installed")
    run = train(replace(SMALL, layers="brevitas"), tmp_path, dataset=small_digits())
    assert_same_weights(run, whole)
    deployed = model_of_checkpoint(run.checkpoint, (1, 8, 8), 10)
    assert all(type(layer) is TernaryConv2d for layer in deployed.ternary_layers().values())


def test_training_does_not_import_brevitas():
    program = "import sys; import tritforge.compress.training.train; assert 'brevitas' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_tensorboard_gets_the_same_figures_as_the_log(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(replace(SMALL, epochs=1, tensorboard=True), tmp_path, dataset=small_digits())
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    with open(tmp_path / "log.csv", newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    for name in ("loss", "zero_group_fraction", "delta.stage1.block1.conv1"):
        (event,) = events.Scalars(name)
        assert event.value == pytest.approx(float(row[name]))
        assert event.step == int(row["step"])


def test_seeds_give_different_weights_and_the_log_tells_each_layers_threshold(tmp_path, whole):
    other = train(replace(SMALL, seed=1, epochs=1), tmp_path, dataset=small_digits())
    layer = "stages.stage1_block1_conv1.conv.weight"
    assert not torch.equal(other.model.state_dict()[layer], whole.model.state_dict()[layer])
    with open(whole.folder / "log.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    names = [name for name in rows[0] if name.startswith("delta.")]
    assert names == [f"delta.{node.name}" for node in whole.model.topology.ternary_nodes()]
    assert all(float(row[name]) > 0 for row in rows for name in names)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_log_tells_the_zero_groups_of_each_layer_which_add_up(whole):
    with open(whole.folder / "log.csv", newline="", encoding="utf-8") as stream:
        row = list(csv.DictReader(stream))[-1]
    size = SMALL.group_channels
    sizes = {name: group_norms(layer.weight, size).numel() for name, layer in whole.model.ternary_layers().items()}
    zero = sum(sizes[name] * float(row[f"zero_groups.{name}"]) for name in sizes)
    assert zero == pytest.approx(sum(sizes.values()) * float(row["zero_group_fraction"]), rel=1e-6)
    assert [name for name in row if name.startswith("zero_groups.")] == [f"zero_groups.{name}" for name in sizes]


def test_a_finished_run_is_only_read_again(whole):
    again = train(SMALL, whole.folder, dataset=small_digits(), advance=stop_after(1))
    assert again.step_seconds == 0
    assert remaining_steps(SMALL, whole.folder, small_digits()) == 0
    assert_same_weights(again, whole)


def test_the_resolved_recipe_lies_in_the_run_folder(whole):
    assert load_recipe(str(whole.folder / "recipe.toml")) == SMALL


def test_a_folder_with_another_recipe_is_refused_and_names_the_key(whole):
    with pytest.raises(RecipeError, match=r"holds a run with weight_penalty_clipping\.penalty = 0\.003, not 0\.1"):
        train(changed(SMALL, {"weight_penalty_clipping.penalty": 0.1}), whole.folder, dataset=small_digits())


def test_another_environment_is_warned_of(tmp_path, whole):
    checkpoint = load_checkpoint(whole.folder)
    checkpoint.environment["torch"] = "1.0"
    save_checkpoint(tmp_path / CHECKPOINT_FILE, checkpoint)
    with pytest.warns(UserWarning, match=r"written with torch 1\.0, this run has"):
        train(SMALL, tmp_path, dataset=small_digits())


def test_damaged_and_foreign_checkpoints_are_told(tmp_path, whole):
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        load_checkpoint(tmp_path / "missing.pt")
    content = (whole.folder / CHECKPOINT_FILE).read_bytes()
    for damaged in (b"", b"not a checkpoint", content[: len(content) // 2]):
        (tmp_path / CHECKPOINT_FILE).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="not a training checkpoint"):
            load_checkpoint(tmp_path)
    torch.save(
        torch.load(whole.folder / CHECKPOINT_FILE) | {"recipe": ["epochs"], "format": 1}, tmp_path / CHECKPOINT_FILE
    )
    with pytest.raises(CheckpointError, match="its recipe is no table of keys"):
        load_checkpoint(tmp_path)
    torch.save({"format": 99}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(CheckpointError, match="not a training checkpoint of format 1"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"format": 1, "step": Malicious()}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_device_that_is_not_there_is_told(tmp_path):
    with pytest.raises(TritforgeError, match="device is 'nonsense'"):
        train(replace(SMALL, device="nonsense"), tmp_path, dataset=small_digits())


def test_steps_go_down_at_their_milestones_and_not_before():
    rates = [steps_down(step, 100, 8.0, (0.5, 0.75), 0.5) for step in (0, 49, 50, 74, 75, 99)]
    assert rates == [8.0, 8.0, 4.0, 4.0, 2.0, 2.0]


def test_one_cycle_rises_to_the_peak_and_falls_to_zero():
    rates = [one_cycle(step, 100, 0.5, 0.2) for step in range(100)]
    assert max(rates) == rates[20] == 0.5
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[0] < 0.05
    assert rates[-1] < 0.001


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    with locked(tmp_path), pytest.raises(RunBusyError, match="another process trains in"):
        train(SMALL, tmp_path, dataset=small_digits())


def test_a_compiled_step_is_the_plain_one(tmp_path, monkeypatch):
    """By a backend that runs the captured graph as it is: what is captured is the step, to the last bit."""
    compiled, compile_ = [], torch.compile

    def captured(function, **_):
        compiled.append(function)
        return compile_(function, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", captured)
    data, recipe = small_digits(), replace(SMALL, epochs=2)
    plain = train(recipe, tmp_path / "plain", dataset=data).model.state_dict()
    graph = train(replace(recipe, compiled=True), tmp_path / "compiled", dataset=data).model.state_dict()
    assert len(compiled) == 1
    assert all(torch.equal(value, graph[name]) for name, value in plain.items())
