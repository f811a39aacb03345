from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tritforge.compress.data.recorded_shift import camera_askew
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.run.recipe import replace_values
from tritforge.compress.studies import select_update_rate
from tritforge.compress.studies.select_update_rate import choose, deploy, select
from tritforge.compress.training.train import train
from tritforge.compress.updates.policies import POLICIES
from tritforge.results import read_result
from tritforge.samples.askew import DEGREES, RATIO


@pytest.fixture
def deployment(tmp_path, monkeypatch):
    """A tiny network that hardly trained, deployed."""

    def short(recipe, folder, *, dataset):
        assert len(dataset.test) == 0
        tiny = {"widths": [16], "epochs": 1, "batch_size": 256, "weight_penalty_clipping.penalty": 0.0}
        return train(replace_values(recipe, tiny, "the test"), folder, dataset=dataset)

    monkeypatch.setattr(select_update_rate, "train", short)
    return deploy(tmp_path / "runs")


def test_the_server_holds_the_old_and_the_turned_images_of_training_and_validation(deployment):
    shifted = camera_askew(load_dataset("digits"), DEGREES)
    for ours, theirs in ((deployment.train, shifted.train), (deployment.validation, shifted.validation)):
        assert np.array_equal(ours.images, theirs.images)
        assert np.array_equal(ours.labels, theirs.labels)


def test_every_rate_of_both_kinds_is_measured_on_the_validation_pool(tmp_path, deployment, monkeypatch):
    monkeypatch.setattr(select_update_rate, "SEEDS", (0,))
    monkeypatch.setattr(select_update_rate, "RATES", {"partial": (1e-3,), "full": (0.02, 0.05)})
    few = replace(deployment, train=deployment.train.take(np.arange(64)))
    metrics = select(tmp_path / "result.json", few)
    assert set(metrics["chosen"]) == {"partial", "full"}
    pieces = list(metrics["pieces"].values())
    assert [(piece["kind"], piece["learning_rate"]) for piece in pieces] == [
        ("partial", 1e-3),
        ("full", 0.02),
        ("full", 0.05),
    ]
    assert pieces[0]["updating_ratio"] <= RATIO
    assert all(0 <= piece["validation_accuracy"] <= 100 for piece in pieces)
    monkeypatch.setattr(select_update_rate, "measure", pytest.fail)
    assert select(tmp_path / "result.json", few) == metrics


def test_the_best_mean_is_chosen_and_of_equal_ones_the_lowest_rate():
    measured = [
        ("partial", 0.1, [80.0, 91.0]),
        ("partial", 0.2, [85.0, 86.0]),
        ("partial", 0.3, [84.0, 86.0]),
        ("full", 0.5, [99.0, 98.0]),
    ]
    pieces = {
        f"{kind} {rate} {seed}": {"kind": kind, "learning_rate": rate, "seed": seed, "validation_accuracy": value}
        for kind, rate, values in measured
        for seed, value in enumerate(values)
    }
    for order in (list(pieces), list(pieces)[::-1]):
        assert choose({key: pieces[key] for key in order})["chosen"] == {"partial": 0.1, "full": 0.5}


def test_the_defaults_are_what_the_recorded_selection_chose():
    recorded = read_result(Path(__file__).resolve().parents[3] / "reports/results/digits_update_selection.json").metrics
    assert choose(recorded["pieces"])["chosen"] == recorded["chosen"]
    assert recorded["chosen"] == {name: POLICIES[name].settings.learning_rate for name in recorded["chosen"]}
