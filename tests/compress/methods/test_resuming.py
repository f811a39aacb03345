"""Every method that there is goes on where a kill left it, and from the checkpoints of before each had a state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_samples import NO_PENALTY, SMALL, changed, small_digits
from resuming import assert_equal_runs, assert_every_stop_ends_alike

from tritforge.compress.methods import target_pruning
from tritforge.compress.methods.chosen import METHODS, every_setting
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.old_keys import OLD_KEYS
from tritforge.compress.training.train import TrainingRun, train
from tritforge.errors import RecipeError

DATA = small_digits(128)
TINY = changed(SMALL, {}, epochs=5, batch_size=32)
"""Twenty steps."""
PRUNED = {"weight_penalty_clipping.penalty": 0.2, "weight_penalty_clipping.clipping": 2.0}
METHOD_KEYS: dict[str, dict[str, Any]] = {
    "weight_penalty_clipping": {},
    "zero groups": PRUNED | {"target_pruning.zero_groups": 0.6},
    "latency": PRUNED | {"target_pruning.cycles": 500.0},
    "distillation": {"distillation.weight": 0.7, "distillation.feature_matching": 0.5},
    "all": PRUNED | {"target_pruning.zero_groups": 0.5, "distillation.weight": 0.5, "distillation.temperature": 2.0},
}
CHECK_EVERY = 4
SETTLED_AT = 16
STOPS = (1, 7, 8, 9, SETTLED_AT - 1, SETTLED_AT, SETTLED_AT + 1, 20)
"""Among them the steps around a check of the target, around the last cut, and the end before statistics are settled."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    recipe = changed(TINY, NO_PENALTY, precision="float", seed=7)
    return train(recipe, tmp_path_factory.mktemp("teacher"), dataset=DATA)


@pytest.fixture(autouse=True)
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_pruning, "CHECKS", 20 // CHECK_EVERY)
    assert target_pruning.SETTLED * 20 == SETTLED_AT


def recipe_of(keys: Mapping[str, Any], teacher: TrainingRun):
    taught = {"distillation.teacher": str(teacher.folder)} if any("distillation" in key for key in keys) else {}
    return changed(TINY, {**keys, **taught})


def test_every_method_is_among_these() -> None:
    acting = {key.partition(".")[0] for keys in METHOD_KEYS.values() for key in keys}
    assert acting == set(METHODS)
    assert all(settings.table == name for name, settings in every_setting(TINY).items())


@pytest.mark.parametrize("keys", METHOD_KEYS.values(), ids=METHOD_KEYS)
def test_a_stopped_run_ends_in_the_same_weights_and_log(keys, teacher, tmp_path: Path) -> None:
    assert_every_stop_ends_alike(recipe_of(keys, teacher), DATA, tmp_path, STOPS)


def test_a_checkpoint_of_before_goes_on_to_the_bit(teacher, tmp_path: Path) -> None:
    """As older versions wrote it: no seal, a flat recipe, the state of the pruning, the teacher's digest."""
    recipe = recipe_of(METHOD_KEYS["all"], teacher)
    whole = train(recipe, tmp_path / "whole", dataset=DATA)

    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        if load_checkpoint(tmp_path / "old").step == 9:
            raise Stop

    with pytest.raises(Stop):
        train(recipe, tmp_path / "old", dataset=DATA, advance=stop)
    path = tmp_path / "old" / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    states, tables = content.pop("methods"), {name: content["recipe"].pop(name) for name in METHODS}
    for old, (table, key, unchosen) in OLD_KEYS.items():
        content["recipe"][old] = tables[table].get(key, unchosen)
    content |= {"format": 1, "pruning": states["target_pruning"], "teacher": states["distillation"]["teacher"]}
    torch.save(content, path)
    assert load_checkpoint(path).recipe == recipe
    again = train(recipe, tmp_path / "old", dataset=DATA)
    assert again.resumed_from == 9
    assert_equal_runs(again, whole)


def test_a_method_that_was_not_there_when_a_run_began_is_refused(teacher, tmp_path: Path) -> None:
    train(TINY, tmp_path, dataset=DATA)
    for keys, key in ((METHOD_KEYS["zero groups"], "penalty"), (METHOD_KEYS["distillation"], "weight")):
        with pytest.raises(RecipeError, match=rf"holds a run with \w+\.{key} = .*; choose another run folder"):
            train(recipe_of(keys, teacher), tmp_path, dataset=DATA)
