"""What docs/adding.md promises: a training method, or a data set, is one file and one line.

Two methods and a data set are added here. Files that a method takes::

    tests/moving_average_sample.py    the method, its settings, state and figures: compress/methods/NAME.py
    METHODS["moving_average"] = ...   the line in compress/methods/chosen.py

and the same for ``tests/gradient_noise_sample.py``. Files that a data set takes::

    tests/stripes_sample.py           reads the images: compress/data/NAME.py
    SOURCES["stripes"] = ...          the line in compress/data/sources.py

No other file knows of them.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import gradient_noise_sample
import pytest
import torch
from compress_samples import SMALL, changed, small_digits
from pruning_samples import model_of
from resuming import assert_every_stop_ends_alike

from tritforge.cli.main import run
from tritforge.compress.data.sources import SOURCES, Source
from tritforge.compress.engine.method import Run
from tritforge.compress.experiments.plan import run_name, setting
from tritforge.compress.experiments.record import training_record
from tritforge.compress.methods.chosen import METHODS, settings_of
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.recipe import load_recipe, parse_recipe
from tritforge.compress.training.train import train
from tritforge.errors import RecipeError
from tritforge.records.training_record import TrainingRecord

AVERAGED = changed(SMALL, {"moving_average.decay": 0.8}, epochs=2, batch_size=32)
NOISY = changed(SMALL, {"gradient_noise.variance": 0.01}, epochs=2, batch_size=32)
OWN_RECIPE = """
dataset = "stripes"
widths = [16]
epochs = 6
batch_size = 16
optimizer = "adamw"
learning_rate = 0.01

[moving_average]
decay = 0.5
"""


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "moving_average", "moving_average_sample:MovingAverageSettings")
    monkeypatch.setitem(METHODS, "gradient_noise", "gradient_noise_sample:GradientNoiseSettings")
    monkeypatch.setitem(SOURCES, "stripes", Source("stripes_sample:load_stripes"))


@pytest.mark.parametrize("recipe", [AVERAGED, NOISY], ids=["moving_average", "gradient_noise"])
def test_a_new_method_resumes_to_the_bit_wherever_it_was_stopped(recipe, tmp_path: Path) -> None:
    plain = train(replace(recipe, methods=SMALL.methods), tmp_path / "plain", dataset=small_digits(96))
    whole = assert_every_stop_ends_alike(recipe, small_digits(96), tmp_path, stops=(1, 2, 5, 6))
    state = whole.model.state_dict()
    assert any(not torch.equal(value, state[name]) for name, value in plain.model.state_dict().items())


def test_the_average_is_what_the_steps_went_through(tmp_path: Path) -> None:
    """Worked out again from the checkpoints of a training without the method."""
    plain = changed(AVERAGED, {"moving_average.decay": 0.0})
    name = "stages.stage1_block1_conv1.conv.weight"
    seen: list[torch.Tensor] = []
    train(
        plain,
        tmp_path / "plain",
        dataset=small_digits(96),
        advance=lambda _: seen.append(load_checkpoint(tmp_path / "plain").model[name].clone()),
    )
    done = train(AVERAGED, tmp_path / "averaged", dataset=small_digits(96))
    torch.manual_seed(SMALL.seed)
    start = build_model(AVERAGED, (1, 8, 8), 10, small_digits(96).zero_point())
    average = start.state_dict()[name].clone()
    for weights in seen:
        average = 0.8 * average + 0.2 * weights
    assert torch.allclose(done.model.state_dict()[name], average, atol=1e-6)
    assert not torch.allclose(seen[-1], average, atol=1e-3)


def test_noise_is_what_the_paper_says() -> None:
    method = gradient_noise_sample.GradientNoiseSettings(variance=0.01, power=0.5).method()
    assert method is not None
    method.begin(Run(model_of(), 10, SMALL.group_channels))
    method.after_step(3)
    noise = method.edit({"a": torch.ones(100_000)})["a"] - 1
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    assert float(noise.var()) == pytest.approx(0.01 / 4**0.5, rel=0.05)


def test_both_are_used_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.toml").write_text(OWN_RECIPE)
    folder, result = tmp_path / "run", tmp_path / "result.json"
    overrides = ["--set", "moving_average.decay=0.75", "--set", "gradient_noise.variance=1e-6"]
    command = ["train", str(tmp_path / "own.toml"), "--run", str(folder), *overrides, "--json", str(result)]
    assert run(command) == 0
    assert "averaged parameters" in capsys.readouterr().out
    document = json.loads(result.read_text())
    assert document["metrics"]["averaged_parameters"] > 0
    assert document["metrics"]["validation_accuracy"] == 100.0
    resolved = load_recipe(str(folder / "recipe.toml"))
    assert resolved.methods == {"moving_average": {"decay": 0.75}, "gradient_noise": {"variance": 1e-6}}
    assert parse_recipe(document["arguments"]["recipe"], "it") == resolved
    with open(folder / "log.csv", newline="", encoding="utf-8") as stream:
        assert all(float(row["average_distance"]) > 0 for row in csv.DictReader(stream))
    assert set(load_checkpoint(folder).methods) == {"moving_average", "gradient_noise"}
    assert run(["export", str(folder)]) == 0
    assert run(["evaluate", str(folder), "--json", str(result)]) == 0
    assert json.loads(result.read_text())["metrics"]["integer_accuracy"] == 100.0


def test_names_and_records_of_runs_tell_of_it(tmp_path: Path) -> None:
    assert "-ma0.8-" in run_name(AVERAGED)
    assert setting(AVERAGED) == replace(
        setting(replace(AVERAGED, methods=SMALL.methods)), further={"moving_average": 0.8}
    )
    assert "-ma" not in run_name(SMALL)
    done = train(AVERAGED, tmp_path, dataset=small_digits(96))
    record = training_record(AVERAGED, done, 1.0)
    parameters = sum(parameter.numel() for parameter in done.model.parameters())
    assert record.summary == {"averaged_parameters": parameters}
    assert "average_distance" in record.history.columns
    assert TrainingRecord.from_result(record.result(), "it") == record


def test_a_wrong_value_is_one_sentence() -> None:
    with pytest.raises(RecipeError, match=r"^moving_average\.decay is 1\.0 in the recipe; it must be below 1$"):
        settings_of(changed(SMALL, {"moving_average.decay": 1}))
    with pytest.raises(
        RecipeError, match="unknown key 'moving_average.speed' in the recipe; allowed are moving_average."
    ):
        settings_of(changed(SMALL, {"moving_average.speed": 1}))
