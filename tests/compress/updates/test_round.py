from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from random_positions import RandomPositions

from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policies import POLICIES
from tritforge.compress.updates.policy import Span, UpdateSettings
from tritforge.compress.updates.positions import Positions
from tritforge.compress.updates.result import changed_elsewhere
from tritforge.compress.updates.round import right, update_network
from tritforge.errors import DataError, PatchError, RecipeError
from tritforge.network.digest import network_digest
from tritforge.network.kinds.average_pool import AveragePool

SETTINGS = UpdateSettings(epochs=1, learning_rate=5e-3, momentum=0.0)
LAYER = "stage2.block1.conv2"


@dataclass
class Plan:
    """A policy that does what a test says: a function from what is deployed to spans."""

    make: object
    settings: UpdateSettings = SETTINGS
    trainings: int = 1
    units: tuple[str, ...] = ()

    def spans(self, deployed, budget):
        yield from self.make(deployed)


def once(**spans):
    """A policy of one training."""

    def one(deployed):
        yield Span(steps=range(deployed.steps), **spans)

    return Plan(one)


def carried_out(deployed, policy, budget=None, settings=SETTINGS):
    _, network, shifted = deployed
    few = shifted.train.take(np.arange(256))
    return update_network(policy, deployed.model(), network, few, shifted.validation, budget, settings)


def some(network, share=0.2, seed=0):
    """Positions of a share of all stored trits."""
    rng = np.random.default_rng(seed)
    everything = Positions.everything(network).trits
    return {name: mask & torch.from_numpy(rng.random(mask.shape) < share) for name, mask in everything.items()}


def changed_layers(update):
    pairs = zip(update.base.layers, update.candidate.layers, strict=True)
    return {old.name for old, new in pairs if not _same(old, new)}


def _same(old, new):
    fields = ("weights", "multiplier", "bias", "shift", "residual_multiplier", "stored")
    return all(np.array_equal(getattr(old, name, 0), getattr(new, name, 0)) for name in fields)


def test_what_is_trained_but_not_sent_is_rewound(deployed):
    network = deployed.network
    train, send = Positions(Positions.everything(network).trits), Positions(some(network))
    update = carried_out(deployed, once(train=train, send=send))
    differing = {
        old.name: old.weights != new.weights
        for old, new in zip(network.ternary_layers(), update.candidate.ternary_layers(), strict=True)
    }
    assert any(mask.any() for mask in differing.values())
    assert not any((mask & ~send.trits[name].numpy()).any() for name, mask in differing.items())
    base, kept = deployed.model().ternary_layers(), update.model.ternary_layers()
    assert all(torch.equal(kept[name].weight[~mask], base[name].weight[~mask]) for name, mask in send.trits.items())


def test_a_training_cut_into_spans_is_the_same_training(deployed):
    everything = Positions(Positions.everything(deployed.network).trits)

    def cut(start):
        half = start.steps // 2
        yield Span(everything, range(half), total=start.steps)
        yield Span(everything, range(half, start.steps))

    whole = carried_out(deployed, once(train=everything))
    assert network_digest(carried_out(deployed, Plan(cut)).candidate) == network_digest(whole.candidate)
    assert network_digest(whole.candidate) != network_digest(deployed.network)


def test_a_fresh_span_starts_over_and_facts_tell_what_each_left_behind(deployed):
    everything = Positions(Positions.everything(deployed.network).trits)
    seen = []

    def trials(start):
        for fresh in (False, True, False):
            facts = yield Span(everything, range(3), base=start.state, fresh=fresh)
            seen.append((facts.weights, facts.differs, facts.validation()))

    update = carried_out(deployed, Plan(trials))
    first, again, onward = seen
    assert all(torch.equal(first[0][name], again[0][name]) for name in first[0])
    assert first[2] == again[2]
    assert not all(torch.equal(first[0][name], onward[0][name]) for name in first[0])
    assert onward[2] == update.validation_after == right(update.candidate, deployed.shifted.validation)
    for layer in update.candidate.ternary_layers():
        differs = layer.weights != deployed.network.layer(layer.name).weights
        assert np.array_equal(differs, onward[1][layer.name])


def test_positions_that_no_longer_train_stay_unless_a_base_is_named(deployed):
    whole = Positions(Positions.everything(deployed.network).trits)
    part = Positions({name: mask for name, mask in whole.trits.items() if name == LAYER})

    def narrowing(base):
        def spans(start):
            yield Span(whole, range(4))
            yield Span(part, range(4), send=whole, base=start.state if base else {})

        return Plan(spans)

    assert changed_layers(carried_out(deployed, narrowing(True))) == {LAYER}
    assert changed_layers(carried_out(deployed, narrowing(False))) > {LAYER}


def test_single_channels_train_alone_and_at_the_deployed_shift(deployed):
    network = deployed.network
    channels = torch.arange(network.layer(LAYER).outputs) % 3 == 0
    update = carried_out(deployed, once(train=Positions(affine={LAYER: channels})))
    old, new = network.layer(LAYER), update.candidate.layer(LAYER)
    moved = (old.bias != new.bias) | (old.multiplier != new.multiplier)
    assert moved[channels.numpy()].all()
    assert not moved[~channels.numpy()].any()
    assert changed_layers(update) == {LAYER}
    assert old.shift == new.shift
    if update.network is update.candidate:
        assert len(update.patch) > 0


def test_the_classifier_trains_where_it_is_freed_but_no_patch_carries_its_weights(deployed):
    update = carried_out(deployed, once(train=Positions(head=True)), settings=replace(SETTINGS, learning_rate=0.05))
    last = deployed.network.layers[-1].name
    assert changed_layers(update) == {last}
    assert not np.array_equal(deployed.network.layer(last).weights, update.candidate.layer(last).weights)
    with pytest.raises(PatchError, match="multi-bit weights"):
        _ = replace(update, network=update.candidate).patch


def test_groups_grow_only_where_bitmaps_may_change(deployed):
    network = deployed.network
    freed = {name: ~mask for name, mask in Positions.everything(network).trits.items()}
    fast = replace(SETTINGS, learning_rate=0.2)
    update = carried_out(deployed, once(train=Positions(freed, bitmaps=True)), settings=fast)
    grown = 0
    for old, new in zip(network.ternary_layers(), update.candidate.ternary_layers(), strict=True):
        assert not (old.stored & ~new.stored).any()
        assert all(
            np.array_equal(a | (new.stored & ~old.stored), b) for a, b in zip(old.active, new.active, strict=True)
        )
        grown += int((new.stored & ~old.stored).sum())
    assert grown > 0
    with pytest.raises(AssertionError, match="groups that are not stored"):
        carried_out(deployed, once(train=Positions(freed)))
    with pytest.raises(PatchError, match="stored bitmaps"):
        _ = replace(update, network=update.candidate).patch


def test_a_policy_that_takes_more_than_its_budget_is_a_defect(deployed):
    greedy = once(train=Positions(Positions.everything(deployed.network).trits))
    greedy.units = ("trits",)
    with pytest.raises(AssertionError, match="exceeds its budget"):
        carried_out(deployed, greedy, Budget("trits", 1))


@pytest.mark.parametrize("budget", [Budget("words", 30), Budget("bytes", 220), Budget("ratio", 0.01)])
def test_random_positions_keep_their_budget_and_repeat(deployed, budget):
    first, again = (carried_out(deployed, RandomPositions(), budget) for _ in range(2))
    assert network_digest(first.candidate) == network_digest(again.candidate)
    assert 0 < replace(first, network=first.candidate).used(budget) <= budget.limit(first.trits)
    other = carried_out(deployed, RandomPositions(), budget, replace(SETTINGS, seed=1))
    assert network_digest(first.candidate) != network_digest(other.candidate)


@pytest.mark.parametrize("unit", ["words", "bytes"])
def test_deep_partial_updates_keep_budgets_of_words_and_bytes(deployed, unit):
    budget = Budget("words", 20) if unit == "words" else Budget("bytes", 200)
    update = carried_out(deployed, POLICIES["partial"], budget)
    assert 0 < replace(update, network=update.candidate).used(budget) <= budget.amount
    ample = carried_out(deployed, POLICIES["partial"], replace(budget, amount=10_000))
    free = carried_out(deployed, POLICIES["partial"], Budget("ratio", 1))
    assert network_digest(ample.candidate) == network_digest(free.candidate)


def test_budgets_that_a_policy_does_not_go_by_are_refused(deployed):
    with pytest.raises(RecipeError, match="goes by a budget of ratio or trits or words or bytes"):
        carried_out(deployed, POLICIES["partial"])
    with pytest.raises(RecipeError, match="has a budget of trits; its policy goes by no budget"):
        carried_out(deployed, POLICIES["full"], Budget("trits", 5))


def test_a_network_without_validation_images_is_refused(deployed):
    _, network, shifted = deployed
    nothing = shifted.validation.take(np.arange(0))
    with pytest.raises(DataError, match="none held out"):
        update_network(POLICIES["full"], deployed.model(), network, shifted.train, nothing)


def altered(layer, field):
    value = getattr(layer, field)
    if field == "active":
        return replace(layer, active=tuple(np.zeros_like(bitmap) for bitmap in value))
    if isinstance(value, int):
        return replace(layer, **{field: value + 1})
    other = value.copy()
    other.flat[0] = not other.flat[0] if field == "stored" else other.flat[0] - 1
    return replace(layer, **{field: other})


@pytest.mark.parametrize("field", ["weights", "multiplier", "bias", "shift", "residual_multiplier", "stored", "active"])
def test_every_change_elsewhere_is_found(deployed, field):
    network = deployed.network
    layer = network.layer(LAYER)
    if field == "stored":  # a group more is stored, which holds no trit
        n, group = np.argwhere(~layer.stored)[0]
        stored = layer.stored.copy()
        stored[n, group] = True
        other = replace(layer, stored=stored)
    elif field == "weights":
        place = tuple(np.argwhere(layer.weights)[0])
        weights = layer.weights.copy()
        weights[place] = 0
        other = replace(layer, weights=weights)
    else:
        other = altered(layer, field)
    found = changed_elsewhere(network, network.with_layers({LAYER: other}), Positions())
    assert found == [f"{LAYER}: {field}"]
    assert changed_elsewhere(network, network, Positions()) == []


def test_the_pool_and_the_classifier_are_watched_too(deployed):
    network = deployed.network
    pool = next(layer for layer in network.layers if isinstance(layer, AveragePool))
    last = network.layers[-1]
    for layer, field in ((pool, "bias"), (pool, "shift"), (last, "weights"), (last, "multiplier")):
        other = network.with_layers({layer.name: altered(layer, field)})
        assert changed_elsewhere(network, other, Positions(head=layer is pool)) == [f"{layer.name}: {field}"]
    assert (
        changed_elsewhere(network, network.with_layers({last.name: altered(last, "weights")}), Positions(head=True))
        == []
    )
