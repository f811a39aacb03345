from __future__ import annotations

import json
import statistics

import pytest
import torch

from tritforge.cli.main import run
from tritforge.compress.engine.step import Batch
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.studies import step_timing as bench_step


def kind_of(recipe):
    kind = "plain" if recipe.precision == "float" else "ternary" if recipe.activation_bits == 32 else "ternary_a8"
    return kind if recipe.fused else f"{kind}_unfused"


def test_the_kinds_take_turns_and_medians_without_the_warm_up_are_compared(monkeypatch):
    """Each kind's steps take seconds of their own; the first rounds are ten times as long."""
    clock, calls = [0.0], []
    lengths = {"plain": 2.0, "ternary": 3.0, "ternary_a8": 5.0}
    lengths |= {f"{kind}_unfused": 2 * length for kind, length in lengths.items()}

    class TimedLearner:
        def __init__(self, recipe):
            self.recipe = recipe

        def take_step(self, number, batch):
            length = lengths[kind_of(self.recipe)]
            turn = len(calls) // len(lengths)
            assert number == turn and len(batch.labels) == 2
            calls.append(self.recipe)
            clock[0] += 10 * length if turn < bench_step.WARM_UP else length + turn

    monkeypatch.setattr(bench_step, "learner_of", TimedLearner)
    monkeypatch.setattr(bench_step.time, "perf_counter", lambda: clock[0])
    recipes = bench_step.step_recipes("resnet20", 2, 1, True, True, True)
    figures = bench_step.bench_steps(recipes, 3).figures()
    middle = statistics.median(range(bench_step.WARM_UP, bench_step.WARM_UP + 3))
    for kind, length in lengths.items():
        assert figures[f"{kind}_step_seconds"] == length + middle
        assert figures[f"{kind}_step_seconds_fastest"] == length + middle - 1
        assert figures[f"{kind}_step_seconds_slowest"] == length + middle + 1
    assert figures["ratio"] == (3 + middle) / (2 + middle)
    assert figures["ratio_a8"] == (5 + middle) / (2 + middle)
    assert figures["fused_ratio_ternary_a8"] == (5 + middle) / (10 + middle)
    assert [kind_of(recipe) for recipe in calls[:6]] == list(lengths)
    plain, ternary, a8 = calls[:3]
    assert (plain.precision, plain.methods) == ("float", {})
    assert (ternary.end_layers, ternary.activation_bits, ternary.precision) == ("float", 32, "ternary")
    assert (a8.end_layers, a8.activation_bits, a8.methods) == ("integer", 8, ternary.methods)
    assert WeightPenaltyClippingSettings.of(ternary).penalty > 0


def test_what_is_timed_is_the_step_of_a_training_with_its_methods():
    recipe = bench_step.step_recipes("resnet20", 2, 1, False, False, False)["ternary_a8"]
    learner = bench_step.learner_of(recipe)
    assert list(learner.methods) == ["weight_penalty_clipping"]
    assert (learner.rate(0), learner.rate(9)) == (recipe.learning_rate, recipe.learning_rate)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert learner.take_step(0, Batch(images, torch.tensor([1, 2]))).penalty > 0


def test_the_command_writes_what_it_measured(tmp_path):
    assert run(f"bench step --batch 2 --repeats 1 --no-fused --json {tmp_path / 'step.json'}".split()) == 0
    document = json.loads((tmp_path / "step.json").read_text())
    metrics = document["metrics"]
    assert metrics["ratio"] == pytest.approx(metrics["ternary_step_seconds"] / metrics["plain_step_seconds"])
    assert metrics["ternary_step_seconds_slowest"] >= metrics["ternary_step_seconds_fastest"] > 0
    assert (metrics["threads"], metrics["batch_size"], metrics["topology"]) == (1, 2, "resnet20")
    assert not metrics["fused"]
    assert not any("unfused" in name for name in metrics)


def test_a_depth_that_there_is_not_is_one_sentence(capsys):
    assert run(["bench", "step", "--depth", "21"]) == 2
    assert "topology is 'resnet21'; allowed are" in capsys.readouterr().err
