from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_samples import SMALL, small_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.compress.checkpoint import load_checkpoint
from tritforge.compress.evaluation import settle_statistics
from tritforge.compress.export import export_network
from tritforge.compress.latency import CUT, LatencyPruning, StructureCycles, cycles_of_a_group, present_groups
from tritforge.compress.models import build_model
from tritforge.compress.train import train
from tritforge.compress.weight_penalty_clipping import weight_penalty
from tritforge.cycle_model import predict
from tritforge.errors import RecipeError
from tritforge.lowering import fitting_parameters, lower
from tritforge.parameters import AcceleratorParameters

TARGET = 500.0
KINDS = ("cycles", "uniform")
DEAR, CHEAP = "stage2.block1.conv2", "stage1.block1.conv2"
"""Their groups cost 2 cycles and 1: on these small maps other units than the array bound the first stage."""
LATENCY = replace(SMALL, epochs=12, learning_rate=0.01, penalty=0.2, clipping=2.0, latency_target=TARGET)


def model_of(recipe=LATENCY, image=(1, 8, 8), seed: int = 0):
    torch.manual_seed(seed)
    return build_model(recipe, image, 10, (20,) * image[0])


def empty_groups(model, seed: int, part: float) -> None:
    """Set random groups of every ternary layer to zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.ternary_layers().values():
            outputs, channels = layer.weight.shape[:2]
            kept = torch.rand(outputs, channels // 16, generator=generator) >= part
            layer.weight.mul_(kept.repeat_interleave(16, dim=1)[:, :, None, None])


def exported_cycles(model) -> float:
    network = export_network(model)
    return predict(lower(network, fitting_parameters(network, AcceleratorParameters()))).cycles_per_image


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.floats(0, 1), st.sampled_from(["integer", "ternary"]))
def test_cycles_of_a_structure_are_those_of_the_exported_network(seed, part, ends):
    model = model_of(replace(LATENCY, end_layers=ends), seed=seed)
    empty_groups(model, seed, part)
    images = small_digits(64).train.images
    model(torch.from_numpy(images))  # for the activation scales
    settle_statistics(model, images)
    cycles = StructureCycles(model, 16)
    assert cycles(present_groups(model, 16)) == exported_cycles(model)


def test_a_group_costs_its_tiles_where_issue_bounds_the_array():
    """ResNet-20 at P = 16 issues a group in 64, 16 and 4 tiles of maps of 32, 16 and 8 pixels."""
    model = model_of(replace(LATENCY, topology="resnet20", widths=(16, 32, 64)), (3, 32, 32))
    costs = cycles_of_a_group(StructureCycles(model, 16))
    for stage, tiles in (("stage1.block2", 64), ("stage2.block2", 16), ("stage3.block2", 4)):
        for name in (f"{stage}.conv1", f"{stage}.conv2"):
            assert costs[name] == pytest.approx(tiles, rel=0.15)


@pytest.fixture(scope="module")
def start():
    """State before training under both weightings."""
    return {kind: LatencyPruning(replace(LATENCY, latency_weighting=kind), model_of(), 100) for kind in KINDS}


def test_factors_are_one_in_the_mean_over_groups_and_larger_for_dear_layers(start):
    sizes = {name: bitmap.size for name, bitmap in present_groups(model_of(), 16).items()}
    for kind in KINDS:
        mean = sum(start[kind].factors[name] * sizes[name] for name in sizes) / sum(sizes.values())
        assert mean == pytest.approx(1)
    assert set(start["uniform"].factors.values()) == {1.0}
    factors = start["cycles"].factors
    assert factors[DEAR] == 2 * factors[CHEAP]


def test_a_layers_pull_is_multiplied_by_its_factor():
    weights = [torch.randn(16, 16, 3, 3, requires_grad=True) for _ in range(2)]
    weight_penalty(weights, 1.5).backward()
    plain = [weight.grad.clone() for weight in weights]
    for weight in weights:
        weight.grad = None
    weight_penalty(weights, 1.5, factors=[3.0, 0.25]).backward()
    assert torch.allclose(weights[0].grad, 3 * plain[0])
    assert torch.allclose(weights[1].grad, plain[1] / 4)


def test_of_equal_norms_the_cut_takes_the_dear_ones():
    cut = {}
    for kind in KINDS:
        model = model_of()
        pruning = LatencyPruning(replace(LATENCY, latency_weighting=kind), model, 100)
        pruning.after_step(100)
        assert 0.97 * TARGET <= pruning.look() <= TARGET
        cut[kind] = {name: 1 - bitmap.mean() for name, bitmap in present_groups(model, 16).items()}
        assert pruning.cut_groups == sum((~bitmap).sum() for bitmap in present_groups(model, 16).values())
    assert cut["cycles"][DEAR] > cut["uniform"][DEAR]
    assert cut["cycles"][CHEAP] < cut["uniform"][CHEAP]


def test_the_cut_prefers_groups_that_are_zero_already_and_keeps_the_largest():
    model = model_of()
    empty_groups(model, 1, 0.4)
    before = present_groups(model, 16)
    pruning = LatencyPruning(replace(LATENCY, latency_weighting="uniform"), model, 100)
    pruning.after_step(100)
    layer = model.ternary_layers()["stage2.block1.conv2"]
    after = present_groups(model, 16)
    assert all(not np.any(after[name] & ~before[name]) for name in before)
    assert pruning.cut_groups == sum(int(before[name].sum() - after[name].sum()) for name in before) > 0
    norms = model_of().ternary_layers()["stage2.block1.conv2"].weight.detach().reshape(32, 2, 144).norm(dim=2).numpy()
    kept, gone = after["stage2.block1.conv2"], before["stage2.block1.conv2"] & ~after["stage2.block1.conv2"]
    assert norms[kept].min() >= norms[gone].max()
    assert not layer.weight.detach().reshape(32, 2, 144)[torch.from_numpy(gone)].any()


@pytest.mark.parametrize(("deviation", "part"), [(0.1, 1), (0.0, 0), (-0.1, 0)])
def test_nothing_is_pulled_on_the_line_or_below_it(deviation, part):
    pruning = LatencyPruning(LATENCY, model_of(), 100)
    pruning.load(pruning.state() | {"penalty": 0.7, "deviation": deviation})
    assert pruning.strength == part * 0.7


@pytest.mark.parametrize(("empty", "direction"), [(0.0, 1), (1.0, -1)])
def test_lambda_rises_while_too_many_cycles_are_left_and_falls_else_within_its_bounds(empty, direction):
    model = model_of()
    empty_groups(model, 0, empty)
    pruning = LatencyPruning(LATENCY, model, 100)
    strengths = [pruning.penalty]
    for step in range(20, 79):
        pruning.after_step(step)
        strengths.append(pruning.penalty)
    assert strengths == sorted(strengths, reverse=direction < 0)
    assert strengths[-1] == pytest.approx(LATENCY.penalty * 100.0**direction)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(LATENCY, tmp_path_factory.mktemp("whole"), dataset=small_digits())


def rows_of(run) -> list[dict[str, str]]:
    with open(run.folder / "log.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_run_ends_at_its_target_and_the_log_tells_the_way(whole):
    assert 0.97 * TARGET <= whole.cycles <= TARGET
    assert whole.cycles == exported_cycles(whole.model)
    rows = rows_of(whole)
    cycles, strengths = ([float(row[name]) for row in rows] for name in ("cycles", "lambda"))
    assert cycles[-1] == whole.cycles
    assert cycles[0] > cycles[len(cycles) // 2] > cycles[-1]
    cut = int(CUT * len(rows))
    assert all(strength > 0 for strength in strengths[:cut])
    assert strengths[cut + 1 :] == [0.0] * (len(rows) - cut - 1)
    assert len(set(strengths[:cut])) > cut // 2


def test_groups_that_were_cut_stay_empty(whole):
    kept = whole.checkpoint.latency["kept"]
    present = present_groups(whole.model, 16)
    assert kept.keys() == present.keys()
    assert all(not np.any(present[name] & ~kept[name].numpy()) for name in kept)


@pytest.mark.parametrize("stopped", [20, 64])
def test_a_stopped_run_ends_alike_before_and_after_the_cut(tmp_path, whole, stopped):
    class Stop(Exception):
        pass

    def stop(_):
        if load_checkpoint(tmp_path).step == stopped:
            raise Stop

    with pytest.raises(Stop):
        train(LATENCY, tmp_path, dataset=small_digits(), advance=stop)
    assert bool(load_checkpoint(tmp_path).latency["kept"]) == (stopped == 64)
    run = train(LATENCY, tmp_path, dataset=small_digits())
    assert run.resumed_from == stopped
    state = whole.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in run.model.state_dict().items())
    assert (tmp_path / "log.csv").read_bytes() == (whole.folder / "log.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"latency_target": 10.0}, r"latency_target is 10; this network takes from \d+ cycles an image with every"),
        ({"latency_target": 1e6}, r"latency_target is 1e\+06; .* to [\d,]+ with none"),
        ({"penalty": 0.0}, "latency_target needs a penalty above 0"),
        ({"precision": "float"}, "latency_target needs a network for the accelerator, and the model's weights are"),
        ({"activation_bits": 32}, "the model's activations are in full precision"),
    ],
)
def test_targets_that_cannot_be_met_are_refused_and_nothing_is_written(tmp_path, change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        train(replace(LATENCY, **change), tmp_path / "run", dataset=small_digits())
    assert not (tmp_path / "run").exists()
