from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_samples import NO_PENALTY, SMALL, changed, small_digits
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tritforge.compress.data.dataset import Split
from tritforge.compress.methods.chosen import begun_methods, settings_of
from tritforge.compress.methods.distillation import DistillationSettings, distilled, map_difference, state_digest
from tritforge.compress.methods.settings import with_settings
from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.run.checkpoint import load_checkpoint, save_checkpoint
from tritforge.compress.run.recipe import parse_recipe
from tritforge.compress.run.run_folder import CHECKPOINT_FILE
from tritforge.compress.training.train import train
from tritforge.errors import RecipeError

SHORT = replace(SMALL, epochs=1)


def logits_of(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = 3 * torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return ours.requires_grad_(), theirs, torch.randint(0, 4, (5,), generator=generator)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0.5, 20))
def test_gradient_at_the_logits_is_the_closed_form(seed, weight, temperature):
    ours, theirs, labels = logits_of(seed)
    distilled(functional.cross_entropy(ours, labels), ours, theirs, weight, temperature).backward()
    of_labels = ours.detach().softmax(1) - functional.one_hot(labels, 4)
    of_teacher = (ours.detach() / temperature).softmax(1) - (theirs / temperature).softmax(1)
    expected = ((1 - weight) * of_labels + weight * temperature * of_teacher) / len(labels)
    assert torch.allclose(ours.grad, expected, rtol=1e-9, atol=1e-12)


def test_the_gradient_at_a_high_temperature_is_the_difference_of_the_centred_logits():
    ours, theirs, _ = logits_of(1)
    distilled(torch.zeros(()), ours, theirs, 1.0, 1e6).backward()
    centred = (ours - ours.mean(1, keepdim=True)) - (theirs - theirs.mean(1, keepdim=True))
    assert torch.allclose(ours.grad, centred.detach() / ours.numel(), rtol=1e-4, atol=1e-5)


def test_whoever_answers_as_the_teacher_does_has_no_loss_and_no_gradient():
    ours, _, labels = logits_of(2)
    loss = distilled(functional.cross_entropy(ours, labels), ours, ours.detach(), 1.0, 3.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert ours.grad.abs().max() < 1e-12


def test_maps_are_compared_by_direction_alone():
    maps = torch.rand(3, 2, 4, 4)
    assert map_difference(maps, maps * torch.tensor([1.0, 5.0, 0.1])[:, None, None, None]).item() < 1e-6
    apart = torch.zeros(2, 3, 2, 4, 4)
    apart[0, :, 0], apart[1, :, 1] = 1, 7
    assert map_difference(*apart).item() == pytest.approx(2)
    ours = (maps + 0.1).requires_grad_()
    map_difference(ours, torch.rand(3, 2, 4, 4)).backward()
    # Along itself a map is free.
    assert (ours.grad * ours.detach()).sum((1, 2, 3)).abs().max() < 1e-6 < ours.grad.abs().max()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    recipe = changed(SHORT, NO_PENALTY, precision="float", seed=7)
    return train(recipe, tmp_path_factory.mktemp("teacher"), dataset=small_digits())


@pytest.fixture(scope="module")
def taught(tmp_path_factory, teacher):
    return train(recipe_with(teacher), tmp_path_factory.mktemp("taught"), dataset=small_digits())


def recipe_with(run, *, teacher=None, weight=0.7, feature_matching=0.5, **change):
    settings = DistillationSettings(str(run.folder) if teacher is None else teacher, weight, 4.0, feature_matching)
    return with_settings(replace(SHORT, **change), settings)


def states_equal(ours, theirs) -> bool:
    return all(torch.equal(value, theirs.model.state_dict()[name]) for name, value in ours.model.state_dict().items())


def test_a_teacher_answers_as_its_run_does_without_batch_norms(teacher):
    data = small_digits()
    loaded = begun_methods(recipe_with(teacher), teacher.model, 1)["distillation"].teacher
    images = torch.from_numpy(data.test.images[:64])
    with torch.no_grad():
        for name, maps in teacher.model.maps(images).items():
            assert torch.allclose(loaded.maps(images)[name], maps, atol=1e-4), name
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in loaded.modules())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in teacher.model.modules())


def test_a_fused_run_teaches_a_fused_one(tmp_path):
    recipe = changed(SHORT, NO_PENALTY, precision="float", seed=7, fused=True)
    run = train(recipe, tmp_path / "teacher", dataset=small_digits())
    taught = train(recipe_with(run, fused=True), tmp_path / "taught", dataset=small_digits())
    assert taught.checkpoint.finished and taught.summary["teacher_digest"] == state_digest(run.checkpoint.model)


def test_a_teacher_without_weight_changes_nothing(tmp_path, teacher):
    without = train(SHORT, tmp_path / "without", dataset=small_digits())
    idle = recipe_with(teacher, weight=0.0, feature_matching=0.0)
    assert states_equal(train(idle, tmp_path / "idle", dataset=small_digits()), without)


@pytest.mark.parametrize("change", [{"feature_matching": 0.0}, {"weight": 0.0}])
def test_each_loss_reaches_the_weights_and_the_teacher_stays_as_it_was(tmp_path, teacher, taught, change):
    before = state_digest(load_checkpoint(teacher.folder).model)
    one = train(recipe_with(teacher, **change), tmp_path, dataset=small_digits())
    assert not states_equal(one, taught)
    assert one.summary["teacher_digest"] == before == state_digest(load_checkpoint(teacher.folder).model)


def test_labels_do_not_matter_where_all_is_learnt_from_the_teacher(tmp_path, teacher):
    data = small_digits()
    wrong = replace(data, train=Split(data.train.images, (data.train.labels + 1) % 10))
    recipe = recipe_with(teacher, weight=1.0)
    right = train(recipe, tmp_path / "right", dataset=data)
    assert states_equal(train(recipe, tmp_path / "wrong", dataset=wrong), right)


def test_a_stopped_run_goes_on_with_its_teacher_wherever_it_lies_and_with_no_other(tmp_path, teacher, taught):
    class Stop(Exception):
        pass

    def stop(_):
        if load_checkpoint(tmp_path / "run").step == 3:
            raise Stop

    with pytest.raises(Stop):
        train(recipe_with(teacher), tmp_path / "run", dataset=small_digits(), advance=stop)
    changed = load_checkpoint(teacher.folder)
    changed.model["stages.stem.conv.weight"] = changed.model["stages.stem.conv.weight"] + 1e-6
    save_checkpoint(tmp_path / "other" / CHECKPOINT_FILE, changed)
    other = recipe_with(teacher, teacher=str(tmp_path / "other"))
    with pytest.raises(RecipeError, match="begun with another teacher than"):
        train(other, tmp_path / "run", dataset=small_digits())
    shutil.copytree(teacher.folder, tmp_path / "moved")
    moved = recipe_with(teacher, teacher=str(tmp_path / "moved"))
    run = train(moved, tmp_path / "run", dataset=small_digits())
    assert run.resumed_from == 3
    assert states_equal(run, taught)


def test_teachers_that_cannot_teach_are_refused_and_nothing_is_written(tmp_path, teacher):
    def refusal(classes: int = 10, **change) -> str:
        data = replace(small_digits(), classes=classes)
        with pytest.raises(RecipeError) as caught:
            train(recipe_with(teacher, **change), tmp_path / "run", dataset=data)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    unfinished = replace(load_checkpoint(teacher.folder), step=2, finished=False)
    save_checkpoint(tmp_path / "unfinished" / CHECKPOINT_FILE, unfinished)
    assert "cannot be the teacher: the checkpoint stands at step 2" in refusal(teacher=str(tmp_path / "unfinished"))
    assert "distillation.weight is 0.7, but the recipe names no teacher" in refusal(teacher="")
    assert "distillation.feature_matching is 0.5, but the recipe names no" in refusal(teacher="", weight=0.0)
    stages = "have 16 channels at 1/1, 32 channels at 1/2, those of the student 16 channels at 1/1, 48 channels at 1/2"
    assert stages in refusal(widths=(16, 48))
    assert "cannot be the teacher: the checkpoint's weights do not fit" in refusal(classes=11)


def test_logits_alone_can_be_learnt_from_another_topology(tmp_path, teacher):
    recipe = recipe_with(teacher, widths=(16,), feature_matching=0.0)
    data = small_digits()
    few = replace(data, train=data.train.take(np.arange(64)))
    assert train(recipe, tmp_path, dataset=few).checkpoint.finished


def test_stages_of_deep_and_shallow_resnets_end_alike():
    deep, shallow = (
        build_topology(name, (3, 32, 32), 10, group_channels=16).stage_ends() for name in ("resnet56", "resnet20")
    )
    assert list(deep) != list(shallow)
    assert list(deep.values()) == list(shallow.values()) == [(16, 1), (32, 2), (64, 4)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("weight = 1.1", "distillation.weight is 1.1 in the recipe; the most is 1"),
        ("weight = -0.1", "distillation.weight is -0.1 in the recipe; the least is 0"),
        ("temperature = 0", "distillation.temperature is 0.0 in the recipe; it must be above 0"),
        ("feature_matching = -1", "distillation.feature_matching is -1.0 in the recipe; the least is 0"),
        ("teacher = 3", "distillation.teacher is 3 in the recipe; it takes a string"),
    ],
)
def test_weights_out_of_range_are_refused(text, sentence):
    with pytest.raises(RecipeError, match=sentence):
        settings_of(parse_recipe(f"[distillation]\n{text}", "x"))
