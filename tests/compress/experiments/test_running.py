from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compress_samples import changed
from experiment_samples import small_run, write_small_pack

from tritforge.cli.main import run
from tritforge.compress.data.dataset import Dataset
from tritforge.compress.experiments import running as experiment_run
from tritforge.compress.experiments.drawn import history
from tritforge.compress.experiments.plan import METHODS, Experiment, method_recipe, run_name
from tritforge.compress.experiments.record import predicted_cycles, training_record, weights_digest
from tritforge.compress.experiments.recorded_runs import missing_runs, read_record, record_path, records_of_all_seeds
from tritforge.compress.experiments.running import DatasetShelf, OutOfTimeError, do_run
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.distillation import DistillationSettings, state_digest
from tritforge.compress.methods.group_sparsity import zero_fraction, zero_group_fraction
from tritforge.compress.methods.weight_penalty_clipping import WeightPenaltyClippingSettings
from tritforge.compress.models.evaluation import model_accuracy
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.checkpoint import load_checkpoint
from tritforge.compress.run.recipe import Recipe, parse_recipe
from tritforge.compress.run.run_folder import SECONDS_FILE
from tritforge.compress.training.train import recipe_dataset, train
from tritforge.errors import RecipeError, ResultFileError
from tritforge.network.digest import network_digest
from tritforge.network.file import load_network
from tritforge.records.history import History
from tritforge.results import write_result


@contextmanager
def silent(_name: str, _steps: int) -> Iterator[Callable[[float], None]]:
    yield lambda count: None


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_pack(tmp_path_factory.mktemp("data") / "small_jpeg.npz")


def do(recipe: Recipe, folder: Path, deadline: float | None = None) -> None:
    do_run(recipe, folder / "results", folder / "runs", DatasetShelf(), silent, deadline)


@pytest.fixture()
def taught(pack: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, Recipe]:
    """A run that learns from another, and that other, which alone an experiment holds."""
    teacher = small_run("full precision", pack)
    known = {"small": Experiment("small", "a teacher", (replace(teacher, dataset="cifar10", data_folder=""),))}
    monkeypatch.setattr("tritforge.compress.experiments.plan.experiments", lambda schedule: known)
    keys = {"distillation.teacher": run_name(teacher), "distillation.weight": 0.5}
    return small_run("clipped", pack, **keys), teacher


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_recorded(method: str, pack: Path, tmp_path: Path) -> None:
    recipe = small_run(method, pack)
    do(recipe, tmp_path)
    record = read_record(tmp_path / "results", recipe, "small_jpeg")
    assert record is not None
    told = record.setting
    assert (told.method, told.model, record.dataset, told.epochs, told.activations) == (
        method,
        "residual3",
        "small_jpeg",
        3,
        32,
    )
    settings = WeightPenaltyClippingSettings.of(recipe)
    assert (told.penalty, told.clipping) == (settings.penalty, settings.clipping if method == "clipped" else None)
    assert record.compression == pytest.approx(
        32 / ((1 - record.zero_group_fraction) * (2 if recipe.precision == "ternary" else 32))
    )
    assert record.history.epoch == (1, 2, 3) and len(record.history.columns["loss"]) == 3
    assert [sum(one.counts) for one in record.histograms.values()] == [16 * 16 * 9, 32 * 32 * 9]
    assert [record.place(name) for name in record.histograms] == [(1, 1, "conv2"), (2, 1, "conv2")]
    assert [len(norms) for norms in record.group_norms.values()] == [32, 64]
    assert [record.place(name) for name in record.group_norms] == [(2, 1, "conv1"), (2, 1, "conv2")]
    assert {len(row) for row in record.trits.get("stage1.block1.conv1", [])} == (
        {144} if recipe.precision == "ternary" else set()
    )
    sparse = method != "full precision"
    assert len(record.layers.name) == 4 and (record.layers.zero_fraction is not None) == sparse
    assert [*record.history.zero_groups] == [*(record.layers.name if sparse else ())]
    assert [*record.history.thresholds] == [*(record.layers.name if method == "clipped" else ())]
    model = _model(recipe, tmp_path / "runs" / run_name(recipe))
    assert record.weights_digest == weights_digest(model)
    assert record.top1 == model_accuracy(model, recipe_dataset(recipe).test)
    assert str(pack.parent) not in record_path(tmp_path / "results", recipe).read_text()


def test_sparsity_is_told_by_layer_and_as_a_whole(pack: Path, tmp_path: Path) -> None:
    recipe = small_run("clipped", pack)
    done = train(recipe, tmp_path)
    with torch.no_grad():
        for layer, empty in zip(done.model.ternary_layers().values(), (4, 0, 8, 16), strict=True):
            layer.weight[:empty] = 0
    fraction = zero_group_fraction(done.model, recipe.group_channels)
    record = training_record(recipe, replace(done, zero_group_fraction=fraction), 1.0)
    assert record.layers.zero_group_fraction == (0.25, 0.0, 0.25, 0.5)
    assert record.zero_group_fraction == (4 + 8 + 64 / 2) / (16 + 16 + 32 + 64)
    assert record.zero_fraction == zero_fraction(done.model, recipe.group_channels) > record.zero_group_fraction
    assert record.compression == 16 / (1 - record.zero_group_fraction)
    assert record.trits["stage1.block1.conv1"][:4] == ("0" * 144,) * 4
    assert record.group_norms["stage2.block1.conv2"][:32] == (0.0,) * 32


def _model(recipe: Recipe, folder: Path) -> Model:
    checkpoint = load_checkpoint(folder)
    model = build_model(recipe, (3, 8, 8), 3, checkpoint.zero_point)
    model.load_state_dict(checkpoint.model)
    return model.eval()


def in_pieces(recipe: Recipe, folder: Path) -> list[str]:
    """Do a run with a stop at every checkpoint; where it stood."""
    stands = []
    while read_record(folder / "results", recipe) is None:
        try:
            do(recipe, folder, deadline=time.perf_counter())
        except OutOfTimeError as error:
            stands.append(str(error))
    return stands


def assert_equal_records(recipe: Recipe, one: Path, other: Path) -> None:
    ours, theirs = (read_record(folder / "results", recipe) for folder in (one, other))
    assert ours is not None and theirs is not None
    assert replace(ours, seconds=0.0) == replace(theirs, seconds=0.0)
    for folder, record in ((one, ours), (other, theirs)):
        seconds = float((folder / "runs" / run_name(recipe) / SECONDS_FILE).read_text())
        assert seconds > 0 and record.seconds <= seconds + 0.05  # rounded to tenths


def stands_of(recipe: Recipe) -> list[str]:
    return [f"{run_name(recipe)} stands at step {step} of 9" for step in (2, 4, 6, 8)]


def test_pieces_make_the_record_that_one_go_makes(pack: Path, tmp_path: Path) -> None:
    recipe = small_run("clipped", pack)
    do(recipe, tmp_path / "whole")
    assert in_pieces(recipe, tmp_path / "pieces") == stands_of(recipe)
    assert_equal_records(recipe, tmp_path / "whole", tmp_path / "pieces")


def test_seconds_are_noted_at_checkpoints_so_that_a_kill_keeps_them(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, noted = small_run("clipped", pack), []
    monkeypatch.setattr(experiment_run, "atomic_write", lambda path, content: noted.append(float(content)))
    do(recipe, tmp_path)
    assert len(noted) == 4 + 1 and noted == sorted(noted)


def test_a_teacher_is_trained_and_recorded_first(taught: tuple[Recipe, Recipe], tmp_path: Path) -> None:
    recipe, teacher = taught
    do(recipe, tmp_path / "whole")
    records = [read_record(tmp_path / "whole" / "results", one, "small_jpeg") for one in taught]
    assert [record.setting.teacher for record in records if record] == [run_name(teacher), None]
    folder = tmp_path / "whole" / "runs" / run_name(teacher)
    assert records[0] is not None
    assert records[0].teacher_digest == state_digest(load_checkpoint(folder).model)
    assert str(tmp_path) not in record_path(tmp_path / "whole" / "results", recipe).read_text()
    assert in_pieces(recipe, tmp_path / "pieces") == stands_of(teacher) + stands_of(recipe)
    for one in taught:
        assert_equal_records(one, tmp_path / "whole", tmp_path / "pieces")


def test_a_recorded_teacher_without_its_run_is_trained_and_keeps_its_record(
    taught: tuple[Recipe, Recipe], tmp_path: Path
) -> None:
    recipe, teacher = taught
    do(teacher, tmp_path)
    path = record_path(tmp_path / "results", teacher)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 1234.5}))  # as no second one would be
    before = path.read_bytes()
    shutil.rmtree(tmp_path / "runs")
    do(recipe, tmp_path)
    assert path.read_bytes() == before and load_checkpoint(tmp_path / "runs" / run_name(teacher)).finished
    do(recipe, tmp_path)  # finished, and with the same teacher
    path.unlink()
    placed = load_checkpoint(tmp_path / "runs" / run_name(recipe)).recipe
    assert DistillationSettings.of(placed).teacher.endswith(run_name(teacher))
    do(recipe, tmp_path)
    assert path.exists()


def test_an_unknown_teacher_is_told_before_anything_is_written(taught: tuple[Recipe, Recipe], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no experiment has a run 'nobody'$"):
        do(changed(taught[0], {"distillation.teacher": "nobody"}), tmp_path)
    assert not any(tmp_path.iterdir())
    do(taught[0], tmp_path)
    with pytest.raises(
        ResultFileError, match="records a run with distillation.teacher = 'residual3-full.*, not 'nobody'"
    ):
        missing_runs([changed(taught[0], {"distillation.teacher": "nobody"})], tmp_path / "results")


def test_a_deadline_far_away_does_not_stop(pack: Path, tmp_path: Path) -> None:
    do(small_run("ternary", pack), tmp_path, deadline=time.perf_counter() + 3600)


def test_a_finished_training_without_a_record_is_only_evaluated(pack: Path, tmp_path: Path) -> None:
    recipe = small_run("ternary", pack)
    done = train(recipe, tmp_path / "runs" / run_name(recipe))
    do(recipe, tmp_path)
    record = read_record(tmp_path / "results", recipe)
    assert record is not None and record.weights_digest == weights_digest(done.model)


def test_a_held_out_part_is_measured_instead_of_the_test_part(pack: Path, tmp_path: Path) -> None:
    recipe = small_run("clipped", pack, validation_fraction=0.25)
    data = recipe_dataset(recipe)
    done = train(recipe, tmp_path / "run", dataset=data)
    unseen = replace(done, dataset=_without_test(data))
    record = training_record(recipe, unseen, 1.0)
    assert record.validation_accuracy == model_accuracy(done.model, data.validation) and record.top1 is None


def _without_test(data: Dataset) -> Dataset:
    return replace(data, test=data.test.take([]))  # type: ignore[arg-type]


def test_an_integer_network_is_measured_too(pack: Path, tmp_path: Path) -> None:
    recipe = small_run("clipped", pack, activation_bits=8, end_layers="integer")
    do(recipe, tmp_path)
    record = read_record(tmp_path / "results", recipe)
    assert record is not None and 0 <= record.integer_top1 <= 100
    model = _model(recipe, tmp_path / "runs" / run_name(recipe))
    assert record.predicted_cycles == predicted_cycles(export_network(model, recipe.group_channels)) > 0
    assert predicted_cycles(export_network(model, 4)) is None


def test_a_deployable_run_is_exported_and_its_network_tells_where_it_comes_from(
    taught: tuple[Recipe, Recipe], pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(taught[0], activation_bits=8, end_layers="integer")
    do(recipe, tmp_path)
    folder, record = tmp_path / "runs" / run_name(recipe), read_record(tmp_path / "results", recipe)
    assert record is not None
    assert run(["export", str(folder)]) == 0
    network = load_network(folder / "network.safetensors")
    told = network.provenance
    assert parse_recipe(told["recipe"], "it") == recipe  # the teacher by its name, not by where it lay
    assert (told["dataset"], told["data_digest"]) == ("small_jpeg", record.data_digest)
    accuracies = (told["fake_quantised_accuracy"], told["integer_accuracy"])
    assert accuracies == (record.top1, record.integer_top1)
    assert load_checkpoint(folder).network_digest == network_digest(network)
    monkeypatch.chdir(pack.parent)
    assert run(["export", str(folder), "-o", str(tmp_path / "n.safetensors"), "--data-folder", pack.name]) == 0
    moved = load_network(tmp_path / "n.safetensors")
    assert parse_recipe(moved.provenance["recipe"], "it") == replace(recipe, data_folder=pack.name)
    assert run(["evaluate", str(tmp_path / "n.safetensors")]) == 0
    do(recipe, tmp_path)  # what export noted in the checkpoint keeps nobody from going on


def test_a_latency_target_is_met_and_told(pack: Path, tmp_path: Path) -> None:
    whole = small_run("clipped", pack, activation_bits=8, end_layers="integer")
    every = predicted_cycles(export_network(_fresh(whole), whole.group_channels))
    assert every is not None
    recipe = changed(whole, {"target_pruning.cycles": 0.9 * every})
    do(recipe, tmp_path)
    record = read_record(tmp_path / "results", recipe)
    assert record is not None and record.predicted_cycles <= 0.9 * every
    assert record.setting.latency_target == 0.9 * every and record.cut_groups > 0


def _fresh(recipe: Recipe) -> Model:
    torch.manual_seed(0)
    return build_model(recipe, (3, 8, 8), 3, (128, 128, 128)).eval()


def test_only_missing_runs_are_done(pack: Path, tmp_path: Path) -> None:
    recipes = [small_run(method, pack) for method in ("ternary", "clipped")]
    assert missing_runs(recipes, tmp_path / "results") == recipes
    do(recipes[0], tmp_path)
    assert missing_runs(recipes, tmp_path / "results") == recipes[1:]
    elsewhere = replace(recipes[0], threads=2, checkpoint_steps=9, device="meta")
    assert missing_runs([elsewhere], tmp_path / "results") == []


def test_records_of_all_seeds_are_found(pack: Path, tmp_path: Path) -> None:
    for seed in (11, 2):
        do(small_run("ternary", pack, seed=seed), tmp_path)
    do(replace(small_run("ternary", pack, seed=5), epochs=2), tmp_path)
    found = records_of_all_seeds(tmp_path / "results", small_run("ternary", pack, seed=1))
    assert [record.seed for record in found] == [2, 11]


def test_a_record_of_something_else_is_refused(pack: Path, tmp_path: Path) -> None:
    recipe, results = small_run("ternary", pack), tmp_path / "results"
    do(recipe, tmp_path)
    with pytest.raises(ResultFileError, match="records a run with learning_rate = 0.2, not 0.3"):
        missing_runs([replace(recipe, learning_rate=0.3)], results)
    with pytest.raises(ResultFileError, match="records a run on small_jpeg, not cifar10; choose another folder"):
        missing_runs([replace(recipe, dataset="cifar10")], results)
    path = record_path(results, recipe)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema": 2}))
    with pytest.raises(ResultFileError, match="schema is 2, but must be 1"):
        missing_runs([recipe], results)
    path.write_text(json.dumps(document | {"command": "tritforge train"}))
    with pytest.raises(ResultFileError, match="is not the record of a training run"):
        missing_runs([recipe], results)


def test_a_long_log_is_thinned_to_its_last_epoch(tmp_path: Path) -> None:
    rows = [f"{10 * epoch},{epoch},{1 / epoch}" for epoch in range(1, 161)]
    (tmp_path / "log.csv").write_text("\n".join(["step,epoch,loss", *rows]) + "\n")
    found = history(tmp_path / "log.csv")
    assert found.epoch == tuple(range(6, 161, 7)) and found.columns["loss"][-1] == 0.00625


def test_what_was_not_logged_is_told_as_none(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,epoch,loss,zero_groups.a\n5,1,0.5,\n10,2,0.25,0.125\n")
    assert history(tmp_path / "log.csv") == History((1, 2), {"loss": (0.5, 0.25), "zero_groups.a": (None, 0.125)})


def test_the_longest_record_is_small(tmp_path: Path) -> None:
    recipe = method_recipe("clipped", schedule="paper", topology="resnet56")
    held_out = small_run("clipped", write_small_pack(tmp_path / "p.npz"), validation_fraction=0.25)
    model = build_model(recipe, (3, 32, 32), 10, (128, 128, 128))
    layers = [f"{kind}.{name}" for kind in ("delta", "zero_groups") for name in model.ternary_layers()]
    header = ["step", "epoch", "loss", "penalty", "learning_rate", *layers]
    lines = [",".join([str(epoch), str(epoch), *["0.123456789"] * (len(header) - 2)]) for epoch in range(1, 161)]
    (tmp_path / "log.csv").write_text("\n".join([",".join(header), *lines]) + "\n")
    done = replace(train(held_out, tmp_path / "run"), folder=tmp_path, model=model)
    write_result(tmp_path / "record.json", training_record(recipe, done, 1.0).result())
    assert (tmp_path / "record.json").stat().st_size < 60_000


def test_a_data_set_is_kept_while_it_is_used(pack: Path) -> None:
    shelf, recipe = DatasetShelf(), small_run("ternary", pack)
    first = shelf.get(recipe)
    assert shelf.get(replace(recipe, seed=1)) is first
    assert len(shelf.get(replace(recipe, validation_fraction=0.25)).validation) == 12
