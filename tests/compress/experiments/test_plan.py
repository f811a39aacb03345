from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tritforge.compress.experiments.plan import (
    METHODS,
    SCHEDULES,
    data_values,
    experiments,
    find_experiment,
    find_run,
    matching,
    method_of,
    method_recipe,
    run_name,
    with_seeds,
)
from tritforge.compress.methods.chosen import differences
from tritforge.compress.methods.distillation import DistillationSettings
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.run.recipe import load_recipe, parse_recipe, recipe_names
from tritforge.errors import DataError, RecipeError

ALL = [run for schedule in SCHEDULES for one in experiments(schedule).values() for run in one.runs]


def test_equal_runs_have_one_name_and_other_runs_another() -> None:
    assert len({run_name(run) for run in ALL}) == len(set(ALL)) < len(ALL)


def test_names_stay_as_they_are() -> None:
    names = [run_name(run) for run in find_experiment("table3").runs[:5]]
    assert names == [
        "resnet20-full_precision-a32-e20-one_cycle-s0",
        "resnet20-ternary-a32-e20-one_cycle-s0",
        "resnet20-pruning-a32-l1e-3-e20-one_cycle-s0",
        "resnet20-naive-a32-l1e-3-e20-one_cycle-s0",
        "resnet20-clipped-a32-l1e-3-c1-e20-one_cycle-s0",
    ]
    other = method_recipe("clipped", penalty=1.25e-4, clipping=2, group_channels=8, seed=3, validation_fraction=0.1)
    other = replace(other, activation_bits=8, end_layers="integer", end_layer_bits=5)
    assert run_name(other) == "resnet20-clipped-a8-l1.25e-4-c2-g8-ends_integer5-v0.1-e20-one_cycle-s3"
    taught = with_settings(other, DistillationSettings("any", 0.7, 2.0, 1.5))
    assert run_name(taught) == "resnet20-clipped-a8-l1.25e-4-c2-kd0.7_t2-fm1.5-g8-ends_integer5-v0.1-e20-one_cycle-s3"
    assert [run_name(run) for run in find_experiment("sparsity").runs] == [
        f"resnet20-{how}-{target}-{taught}e20-one_cycle-s{seed}"
        for how, taught, seed in (
            *(("clipped-a32-l2.5e-4-c1", "", 0), ("naive-a32-l2.5e-4", "", 0)),
            *(("clipped-a8-l2.5e-4-c1", "", 0), ("clipped-a8-l2.5e-4-c1", "kd0.5-", 0)),
            *((how, "", seed) for seed in (1, 2) for how in ("clipped-a32-l2.5e-4-c1", "naive-a32-l2.5e-4")),
        )
        for target in ("z0.25", "z0.5")
    ]
    assert [run_name(run) for run in find_experiment("best").runs] == [
        "resnet20-clipped-a8-l2.5e-4-c1-z0.5-kd0.5-e40-one_cycle-s0",
        "resnet20-full_precision-a32-e40-one_cycle-s0",
    ]
    assert [run_name(run) for run in find_experiment("lambda-sweep").runs if run.seed > 0] == [
        f"resnet20-{how}-e10-one_cycle-s{seed}"
        for seed in (1, 2)
        for how in ("naive-a32-l1e-3", "clipped-a32-l1e-3-c1", "naive-a32-l2e-3", "clipped-a32-l2e-3-c1")
    ]
    assert [run_name(run) for run in find_experiment("latency").runs] == [
        f"resnet20-clipped-a8-l2.5e-4-c1-t10000_{how}-e10-one_cycle-s{seed}"
        for seed in (0, 1, 2)
        for how in ("cycles", "uniform")
    ]


def test_tables_share_runs() -> None:
    names = {name: {run_name(run) for run in one.runs} for name, one in experiments().items()}
    assert len(names["table1"] & names["table3"]) == 12
    assert {run.epochs for run in experiments()["lambda-sweep"].runs} == {10}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_teachers_are_full_precision_runs_of_table_3(schedule: str) -> None:
    runs = [run for one in experiments(schedule).values() for run in one.runs]
    teachers = {DistillationSettings.of(run).teacher for run in runs} - {""}
    assert [find_run(name) for name in teachers] == [experiments(schedule)["table3"].runs[0]]
    assert find_run(run_name(runs[-1])) == runs[-1]
    with pytest.raises(RecipeError, match="no experiment has a run 'resnet20'"):
        find_run("resnet20")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_what_its_recipe_is(method: str, schedule: str) -> None:
    recipe = method_recipe(method, schedule=schedule)
    assert method_of(recipe) == method
    assert recipe.precision == ("float" if method in ("full precision", "pruning") else "ternary")
    settings = WeightPenaltyClippingSettings.of(recipe)
    assert (settings.penalty > 0) == (method in ("pruning", "naive", "clipped"))
    assert math.isfinite(settings.clipping) == (method == "clipped")
    assert recipe.validation_fraction == 0
    if recipe.precision == "ternary":
        assert (recipe.activation_bits, recipe.end_layers) == (32, "float")


def test_the_papers_schedule_steps_at_80_and_120() -> None:
    recipe = method_recipe("clipped", schedule="paper")
    assert (recipe.schedule, recipe.epochs, recipe.learning_rate, recipe.decay) == ("steps", 160, 0.1, 0.1)
    assert [fraction * recipe.epochs for fraction in recipe.milestones] == [80, 120]


def test_the_full_precision_run_is_the_recipe_of_that_name() -> None:
    plain = load_recipe("cifar10_float", ["epochs=20", "validation_fraction=0.0", "threads=1"])
    assert method_recipe("full precision") == plain


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("cifar10")])
def test_schedules_differ_in_nothing_but_the_schedule(name: str) -> None:
    other = load_recipe(name.removesuffix("_paper"))
    changed = {key for key, _, _ in differences(other, load_recipe(name))}
    assert changed <= {"epochs", "schedule", "learning_rate", "weight_decay", "threads", "validation_fraction"} | (
        {"activation_bits", "end_layers"} if "ternary" in name else set()
    )


def test_a_recipe_survives_its_text() -> None:
    assert all(parse_recipe(run.to_toml(), "the text") == run for run in ALL)


def test_seeds_replace_those_of_the_runs() -> None:
    runs = with_seeds(find_experiment("table1").runs, [4, 7])
    assert [run.seed for run in runs] == [4] * 8 + [7] * 8
    assert len({run_name(run) for run in runs}) == 16


def test_runs_are_picked_by_a_part_of_their_name() -> None:
    runs = find_experiment("table3").runs
    assert {run.topology for run in matching(runs, "resnet32")} == {"resnet32"}
    assert [run_name(run) for run in matching(runs, "resnet20-naive*s1")] == [
        "resnet20-naive-a32-l1e-3-e20-one_cycle-s1"
    ]
    with pytest.raises(RecipeError, match="no run's name holds 'vgg'; the runs are resnet20-full"):
        matching(runs, "vgg")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="no experiment 'table9'; there are table3, table1, .*ends"):
        find_experiment("table9")
    with pytest.raises(RecipeError, match="schedule is 'long'; allowed are modern, paper"):
        experiments("long")


def test_data_are_told_by_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images.npz").write_bytes(b"")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "data_batch_1.bin").write_bytes(b"")
    assert data_values(str(tmp_path / "images.npz"))["dataset"] == "packed"
    assert data_values(str(tmp_path / "archive"))["dataset"] == "cifar10"
    (tmp_path / "cifar10").symlink_to(tmp_path / "archive")
    monkeypatch.setenv("TRITFORGE_DATA", str(tmp_path))
    assert data_values("") == {"dataset": "cifar10", "data_folder": str(tmp_path / "cifar10")}
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="neither the folder of an unpacked CIFAR-10 archive nor a .npz pack"):
            data_values(str(wrong))
