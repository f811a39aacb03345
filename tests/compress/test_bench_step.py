from __future__ import annotations

import json
import statistics

import pytest

from tritforge.cli.main import run
from tritforge.compress import bench_step


def test_the_kinds_take_turns_and_medians_without_the_warm_up_are_compared(monkeypatch):
    """Each kind's steps take seconds of their own; the first rounds are ten times as long."""
    clock, calls = [0.0], []
    lengths = {"float": 2.0, "ternary": 3.0}

    def timed_step(recipe, *_):
        kind = recipe.precision if recipe.activation_bits == 8 else "ternary"
        length = 5.0 if (kind, recipe.activation_bits) == ("ternary", 8) else lengths[kind]
        turn = len(calls) // 3
        calls.append(recipe)
        clock[0] += 10 * length if turn < bench_step.WARM_UP else length + turn

    monkeypatch.setattr(bench_step, "training_step", timed_step)
    monkeypatch.setattr(bench_step.time, "perf_counter", lambda: clock[0])
    seconds = bench_step.bench_steps("resnet20", 2, 3)
    middle = statistics.median(range(bench_step.WARM_UP, bench_step.WARM_UP + 3))
    assert seconds.plain_step_seconds == 2 + middle
    assert seconds.ternary_step_seconds == 3 + middle
    assert seconds.ternary_a8_step_seconds == 5 + middle
    assert seconds.ratio_a8 == (5 + middle) / (2 + middle)
    assert seconds.ranges["ternary"] == (3 + middle - 1, 3 + middle + 1)
    plain, ternary, a8 = calls[:3]
    assert (plain.precision, plain.penalty) == ("float", 0)
    assert (ternary.end_layers, ternary.activation_bits, ternary.precision) == ("float", 32, "ternary")
    assert (a8.end_layers, a8.activation_bits, a8.penalty) == ("integer", 8, ternary.penalty)
    assert ternary.penalty > 0


def test_the_command_writes_what_it_measured(tmp_path):
    assert run(f"bench step --batch 2 --repeats 1 --json {tmp_path / 'step.json'}".split()) == 0
    document = json.loads((tmp_path / "step.json").read_text())
    metrics = document["metrics"]
    assert metrics["ratio"] == pytest.approx(metrics["ternary_step_seconds"] / metrics["plain_step_seconds"])
    assert metrics["ternary_step_seconds_slowest"] >= metrics["ternary_step_seconds_fastest"] > 0
    assert (metrics["threads"], metrics["batch_size"], metrics["topology"]) == (1, 2, "resnet20")


def test_a_depth_that_there_is_not_is_one_sentence(capsys):
    assert run(["bench", "step", "--depth", "21"]) == 2
    assert "topology is 'resnet21'; allowed are" in capsys.readouterr().err
