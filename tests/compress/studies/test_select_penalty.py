from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tritforge.cli.main import run
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.engine.batches import steps_per_epoch
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.run.recipe import Recipe, load_recipe
from tritforge.compress.studies import select_penalty
from tritforge.compress.studies.select_penalty import LEAST_ZERO_GROUPS, choose, held_out, select, with_equal_steps
from tritforge.results import read_result


def piece(penalty: float, seed: int, accuracy: float, zeros: float) -> dict:
    return {
        "penalty": penalty,
        "clipping": 1.5,
        "seed": seed,
        "validation_accuracy": accuracy,
        "zero_group_fraction": zeros,
    }


def test_the_most_accurate_of_the_sparse_candidates_is_chosen_and_of_equal_ones_the_sparser():
    pieces = {
        "dense": piece(0.001, 0, 99.9, 0.51),
        "best 0": piece(0.002, 0, 98.0, 0.50),
        "best 1": piece(0.002, 1, 99.0, 0.56),
        "sparser 0": piece(0.003, 0, 99.0, 0.55),
        "sparser 1": piece(0.003, 1, 98.0, 0.55),
        "worse": piece(0.004, 0, 98.4, 0.9),
    }
    chosen = choose(pieces)["chosen"]
    assert chosen == {"penalty": 0.003, "clipping": 1.5, "validation_accuracy": 98.5, "zero_group_fraction": 0.55}
    assert choose({"dense": pieces["dense"]})["chosen"] is None
    just = {"just": piece(0.005, 0, 99.9, LEAST_ZERO_GROUPS)}
    assert choose(pieces | just)["chosen"]["penalty"] == 0.005


def test_hold_outs_are_training_images_split_anew_and_the_test_part_is_dropped():
    usual = load_dataset("digits")
    data = held_out(usual, 3)
    assert len(data.test) == 0
    assert len(data.train) + len(data.validation) == len(usual.train) + len(usual.validation) == 1437
    known = {image.tobytes() for part in (usual.train, usual.validation) for image in part.images}
    assert all(image.tobytes() in known for part in (data.train, data.validation) for image in part.images)
    assert not np.array_equal(held_out(usual, 4).validation.images, data.validation.images)


def test_a_training_on_fewer_images_takes_as_many_steps():
    usual = load_dataset("digits")
    data = held_out(usual, 0)
    recipe = with_equal_steps(load_recipe("digits_ternary"), usual, data)
    steps = 80 * steps_per_epoch(recipe, usual)
    assert abs(recipe.epochs * steps_per_epoch(recipe, data) - steps) <= steps_per_epoch(recipe, data) / 2


def test_selection_trains_every_candidate_on_every_hold_out_without_test_images(tmp_path, monkeypatch):
    seen = []
    real = select_penalty.train

    def short(recipe: Recipe, folder, *, dataset):
        assert len(dataset.test) == 0
        settings = WeightPenaltyClippingSettings.of(recipe)
        seen.append((settings.penalty, settings.clipping, recipe.seed))
        return real(replace(recipe, widths=(16,), epochs=1, batch_size=512), folder, dataset=dataset)

    monkeypatch.setattr(select_penalty, "train", short)
    path = tmp_path / "selection.json"
    metrics = select(path, tmp_path / "runs", [(0.001, 1.0), (0.002, 2.0)], [0, 1])
    assert seen == [(0.001, 1.0, 0), (0.002, 2.0, 0), (0.001, 1.0, 1), (0.002, 2.0, 1)]
    assert metrics["chosen"] is None
    assert [one["penalty"] for one in metrics["candidates"]] == [0.001, 0.002]
    result = read_result(path)
    assert (result.metrics, list(result.seeds)) == (metrics, [0, 1])
    assert "test" not in str(sorted(result.metrics["pieces"]["penalty 0.001, clipping 1.0, seed 0"]))


def test_a_mistake_is_told_in_a_sentence(tmp_path, capsys):
    path = tmp_path / "broken.json"
    path.write_text("{}")
    assert run(["study", "digits-penalty", "--json", str(path), "--runs", str(tmp_path)]) == 2
    assert "broken.json" in capsys.readouterr().err


def test_the_recipe_holds_what_the_recorded_selection_chose():
    recorded = read_result(Path(__file__).resolve().parents[3] / "reports/results/digits_selection.json").metrics
    assert choose(recorded["pieces"])["chosen"] == recorded["chosen"]
    settings = WeightPenaltyClippingSettings.of(load_recipe("digits_ternary"))
    assert (settings.penalty, settings.clipping) == (recorded["chosen"]["penalty"], recorded["chosen"]["clipping"])
