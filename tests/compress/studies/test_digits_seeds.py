from __future__ import annotations

from types import SimpleNamespace

import pytest

from tritforge.cli.main import run
from tritforge.compress.studies import digits_seeds
from tritforge.compress.studies.demo_run import TrainedDemo, UpdateFigures
from tritforge.compress.studies.digits_seeds import NAMES
from tritforge.results import read_result


@pytest.fixture
def made_up(monkeypatch):
    """Trainings and updates with invented figures; the list of the seeds that were trained."""
    seeds = []

    def train_demo(seed, folder):
        seeds.append(seed)
        return TrainedDemo(seed, None, folder, folder, None, "", 99.0, 98.0, 98.0 + seed, 1.0, 1.0, 0.5)

    def update_demo(network, run_folder, dataset, budget, *, seed):
        figures = UpdateFigures(budget.amount, 10, 1000, 40, 400, 60.0, 90.0, 95.0 + seed, 98.0, 97.0, 61.0, 91.0)
        return SimpleNamespace(figures=figures)

    monkeypatch.setattr(digits_seeds, "train_demo", train_demo)
    monkeypatch.setattr(digits_seeds, "update_demo", update_demo)
    return seeds


def test_every_figure_is_recorded_over_all_seeds(tmp_path, made_up, capsys):
    path = tmp_path / "seeds.json"
    for _ in range(2):
        assert run(["study", "digits-seeds", "--json", str(path), "--runs", str(tmp_path)]) == 0
    assert made_up == [0, 1, 2]
    result = read_result(path)
    assert list(result.seeds) == [0, 1, 2]
    assert set(result.metrics) == {*NAMES, "pieces"}
    assert result.metrics["integer_accuracy"] == {"values": [98.0, 99.0, 100.0], "mean": 99.0}
    assert result.metrics["regained_fraction"]["values"] == pytest.approx([30 / 35, 30 / 36, 30 / 37])
    assert all(name in capsys.readouterr().out for name in NAMES[:1])


def test_a_file_of_other_recipes_is_refused(tmp_path, made_up, monkeypatch, capsys):
    path = tmp_path / "seeds.json"
    command = ["study", "digits-seeds", "--json", str(path), "--runs", str(tmp_path)]
    assert run(command) == 0
    monkeypatch.setattr(digits_seeds, "RATIO", 0.02)
    assert run(command) == 2
    assert "holds a measurement with other arguments" in capsys.readouterr().err
