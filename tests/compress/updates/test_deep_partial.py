from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tritforge.compress.export.deployed import deployed_model, freeze, stored_weights, updated_checkpoint
from tritforge.compress.export.export import ternary_weights
from tritforge.compress.layers.ternary import ternary_scale
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policies import POLICIES
from tritforge.compress.updates.policy import UpdateSettings
from tritforge.compress.updates.round import steps_of_training, update_network
from tritforge.errors import NetworkError, RecipeError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.pe_groups import group_weights
from tritforge.patches.patch import apply_to_network, diff

SETTINGS = UpdateSettings(epochs=3, learning_rate=5e-4)


def partial_update(model, network, train, validation, ratio, settings, advance=None):
    return update_network(
        POLICIES["partial"], model, network, train, validation, Budget("ratio", ratio), settings, advance
    )


@pytest.fixture(scope="module")
def update(deployed):
    run, network, shifted = deployed
    steps = []
    model = deployed_model(run.checkpoint, network)
    result = partial_update(model, network, shifted.train, shifted.validation, 0.02, SETTINGS, steps.append)
    assert sum(steps) == 2 * steps_of_training(len(shifted.train), SETTINGS)
    return result


def test_an_update_improves_validation_within_its_budget(deployed, update):
    _, network, _ = deployed
    assert update.validation_after > update.validation_before
    selected = sum(int(mask.sum()) for mask in update.sent.trits.values())
    assert 0 < update.changed_trits <= selected <= math.floor(0.02 * update.stored_trits)
    assert update.updating_ratio <= 0.02
    assert update.stored_trits == sum(
        int(layer.stored.sum()) * group_weights(layer.weights, network.group_channels)[0, 0].size
        for layer in network.ternary_layers()
    )


def test_only_selected_trits_of_stored_groups_differ_and_everything_else_is_the_deployed_network(deployed, update):
    _, network, _ = deployed
    for old, new in zip(network.layers, update.network.layers, strict=True):
        assert np.array_equal(old.multiplier, new.multiplier)
        assert np.array_equal(old.bias, new.bias)
        assert old.shift == new.shift
        if isinstance(old, AveragePool) or not old.ternary:
            assert isinstance(old, AveragePool) or np.array_equal(old.weights, new.weights)
            continue
        assert np.array_equal(old.stored, new.stored)
        assert all(np.array_equal(a, b) for a, b in zip(old.active, new.active, strict=True))
        assert old.residual_multiplier == new.residual_multiplier
        assert not ((old.weights != new.weights) & ~update.sent.trits[old.name].numpy()).any()
        assert not group_weights(new.weights, network.group_channels)[~old.stored].any()


def test_the_patch_codec_carries_the_update(deployed, update):
    _, network, _ = deployed
    patched = apply_to_network(network, diff(network, update.network, 1))
    for ours, theirs in zip(patched.ternary_layers(), update.network.ternary_layers(), strict=True):
        assert np.array_equal(ours.weights, theirs.weights)


def test_a_second_round_starts_from_the_first_ones_checkpoint_under_the_same_thresholds(tmp_path, deployed, update):
    run, network, shifted = deployed
    first = apply_to_network(network, diff(network, update.network, 1))
    save_checkpoint(tmp_path / "kept.pt", updated_checkpoint(run.checkpoint, update.model, first))
    kept = load_checkpoint(tmp_path / "kept.pt")
    model = deployed_model(kept, first)
    scales = {name: ternary_scale(layer.weight) for name, layer in run.model.ternary_layers().items()}
    assert all(layer.frozen == scales[name] for name, layer in model.ternary_layers().items())
    second = partial_update(model, first, shifted.train, shifted.validation, 0.02, SETTINGS)
    assert second.validation_before == update.validation_after
    patched = apply_to_network(first, diff(first, second.network, 2)) if second.changed_trits else first
    for ours, theirs in zip(patched.ternary_layers(), second.network.ternary_layers(), strict=True):
        assert np.array_equal(ours.weights, theirs.weights)
    with pytest.raises(CheckpointError, match="was not exported from this checkpoint"):
        deployed_model(run.checkpoint, first)


def test_a_round_that_does_not_improve_sends_nothing(deployed):
    run, network, shifted = deployed
    model = deployed_model(run.checkpoint, network)
    # Labels moved by one teach the opposite of what validation asks.
    wrong = replace(shifted.train, labels=(shifted.train.labels + 1) % 10)
    result = partial_update(model, network, wrong, shifted.validation, 0.05, replace(SETTINGS, epochs=1))
    assert result.validation_after <= result.validation_before
    assert result.network is network
    assert result.model is model
    assert result.changed_trits == 0


def updated_by(deployed, ratio):
    """A short update whose first step moves some tens of trits."""
    run, network, shifted = deployed
    few, settings = shifted.train.take(np.arange(128)), UpdateSettings(epochs=1, learning_rate=5e-3)
    return partial_update(deployed_model(run.checkpoint, network), network, few, shifted.validation, ratio, settings)


def selected_trits(update):
    return sum(int(mask.sum()) for mask in update.sent.trits.values())


def test_a_budget_counts_whole_trits_and_is_rounded_down(deployed, update):
    for trits in (1.5, 5.9):
        assert selected_trits(updated_by(deployed, trits / update.stored_trits)) == math.floor(trits)


def test_a_budget_below_one_trit_changes_nothing_and_so_improves_nothing(deployed, update):
    nothing = updated_by(deployed, 0.9 / update.stored_trits)
    assert selected_trits(nothing) == 0
    assert nothing.validation_after == nothing.validation_before
    assert nothing.network is deployed[1]


def test_a_budget_of_every_stored_trit_picks_all_that_differ(deployed, update):
    half, whole = (selected_trits(updated_by(deployed, ratio)) for ratio in (0.5, 1.0))
    assert 5 < half == whole < update.stored_trits // 2


def test_the_model_is_left_as_it_was(deployed):
    run, network, shifted = deployed
    model = deployed_model(run.checkpoint, network)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = shifted.train.take(np.arange(64))
    partial_update(model, network, small, shifted.validation, 0.01, UpdateSettings(epochs=1))
    update_network(POLICIES["full"], model, network, small, shifted.validation, None, UpdateSettings(epochs=1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(layer.frozen is None for layer in model.ternary_layers().values())


def test_frozen_thresholds_keep_the_other_trits_when_the_largest_weight_grows(deployed):
    run, network, _ = deployed
    model = deployed_model(run.checkpoint, network)
    freeze(model)
    layer = model.ternary_layers()["stage2.block1.conv2"]
    before = layer.trits()
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = 100.0
    assert int((layer.trits() != before).sum()) <= 1
    scale = layer.frozen
    freeze(model)  # a later round keeps the scale of the first deployment
    assert layer.frozen is scale
    layer.frozen = None
    assert int((layer.trits() != before).sum()) > 100


def test_a_network_of_another_run_is_refused(deployed):
    run, network, shifted = deployed
    model = deployed_model(run.checkpoint, network)
    layer = network.ternary_layers()[1]
    weights = np.where(layer.stored.any(), -layer.weights, layer.weights)
    other = network.with_layers({layer.name: replace(layer, weights=weights)})
    with pytest.raises(
        CheckpointError, match=f"layer {layer.name} of the network was not exported from this checkpoint"
    ):
        deployed_model(run.checkpoint, other)
    with pytest.raises(NetworkError, match=f"layer {layer.name}: the model's trits are not those"):
        partial_update(model, other, shifted.train, shifted.validation, 0.01, SETTINGS)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.1, float("nan")])
def test_ratios_out_of_range_are_refused(deployed, ratio):
    run, network, shifted = deployed
    with pytest.raises(RecipeError, match="must be above 0 and at most 1"):
        partial_update(run.model, network, shifted.train, shifted.validation, ratio, SETTINGS)


def test_an_unfinished_run_has_no_deployed_network(deployed):
    run, _, _ = deployed
    with pytest.raises(CheckpointError, match="unfinished run"):
        model_of_checkpoint(replace(run.checkpoint, finished=False), (1, 8, 8), 10)


def test_stored_masks_cover_exactly_the_weights_of_stored_groups(deployed):
    run, network, _ = deployed
    trits = ternary_weights(run.model)
    for name, mask in stored_weights(network).items():
        layer = network.layer(name)
        lanes = group_weights(mask.numpy(), network.group_channels)
        assert np.array_equal(lanes.all(axis=(2, 3)), layer.stored)
        assert np.array_equal(lanes.any(axis=(2, 3)), layer.stored)
        assert not trits[name][~mask.numpy()].any()
