from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import any_network, tiny_network

from tritforge.compress.updates.budget import UNITS, Budget
from tritforge.compress.updates.positions import StoredTrits
from tritforge.errors import RecipeError
from tritforge.network.network import Network
from tritforge.network.trit_order import network_trits, with_trits
from tritforge.patches.file import HEADER_BYTES
from tritforge.patches.patch import diff


@cache
def sample(seed: int) -> tuple[Network, StoredTrits]:
    network = any_network(seed) if seed else tiny_network()
    return network, StoredTrits(network)


@st.composite
def ranked(draw: st.DrawFn) -> tuple[Network, StoredTrits, torch.Tensor, torch.Tensor]:
    """A network, its stored trits, a contribution of each, some of them equal, and candidates."""
    network, trits = sample(draw(st.integers(0, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.005, 0.1, 1.0]))
    contribution = torch.from_numpy(rng.normal(size=len(trits)).round(1))
    return network, trits, contribution, torch.from_numpy(rng.random(len(trits)) < share)


def amounts(draw: st.DrawFn, unit: str) -> Budget:
    if unit == "ratio":
        return Budget("ratio", draw(st.floats(0, 1, exclude_min=True)))
    least = HEADER_BYTES + 1 if unit == "bytes" else 1
    return Budget(unit, least + draw(st.integers(0, 400)))  # type: ignore[arg-type]


def patch_bytes(network: Network, trits: StoredTrits, changed: torch.Tensor, steps: np.ndarray) -> int:
    """Of the patch in which the ``changed`` of the row move by ``steps``."""
    values, places = network_trits(network), trits.places[changed].numpy()
    values[places] = (values[places] + 1 + steps[: len(places)]) % 3 - 1
    return len(diff(network, with_trits(network, values), 1))


@settings(max_examples=150, deadline=None)
@given(ranked(), st.sampled_from(UNITS), st.data())
def test_a_budget_is_never_exceeded_whatever_becomes_of_the_chosen(case, unit, data) -> None:
    network, trits, contribution, candidates = case
    budget = amounts(data.draw, unit)
    chosen = budget.choose(contribution, candidates, trits)
    assert not (chosen & ~candidates).any()
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kept = chosen & torch.from_numpy(rng.random(len(trits)) < data.draw(st.sampled_from([0.5, 1.0])))
    limit = budget.limit(trits)
    if budget.counted == "bytes":
        assert patch_bytes(network, trits, kept, rng.integers(1, 3, len(trits))) <= limit
    elif budget.counted == "words":
        assert len(trits.words[kept].unique()) <= limit
    else:
        assert int(chosen.sum()) == min(limit, int(candidates.sum()))


@settings(max_examples=150, deadline=None)
@given(ranked(), st.sampled_from(UNITS), st.data())
def test_a_larger_budget_chooses_no_trit_less(case, unit, data) -> None:
    _, trits, contribution, candidates = case
    small, large = sorted((amounts(data.draw, unit) for _ in range(2)), key=lambda budget: budget.amount)
    assert not (small.choose(contribution, candidates, trits) & ~large.choose(contribution, candidates, trits)).any()


@settings(max_examples=50, deadline=None)
@given(ranked())
def test_a_budget_that_does_not_bind_chooses_what_one_of_trits_does(case) -> None:
    _, trits, contribution, candidates = case
    every = Budget("trits", max(1, len(trits))).choose(contribution, candidates, trits)
    assert torch.equal(every, candidates)
    for budget in (Budget("ratio", 1), Budget("words", len(trits)), Budget("bytes", HEADER_BYTES + len(trits))):
        assert torch.equal(budget.choose(contribution, candidates, trits), every)


@settings(max_examples=100, deadline=None)
@given(ranked(), st.integers(1, 60))
def test_words_open_by_their_best_trit_and_then_cost_nothing(case, limit) -> None:
    _, trits, contribution, candidates = case
    opened: list[int] = []
    expected = torch.zeros_like(candidates)
    for index in sorted(np.flatnonzero(candidates), key=lambda one: (-float(contribution[one]), one)):
        word = int(trits.words[index])
        if word not in opened and len(opened) < limit:
            opened.append(word)
        expected[index] = word in opened
    assert torch.equal(Budget("words", limit).choose(contribution, candidates, trits), expected)


@settings(max_examples=50, deadline=None)
@given(ranked(), st.integers(1, 300))
def test_bytes_take_the_best_trits_and_little_room_is_left(case, room) -> None:
    network, trits, contribution, candidates = case
    budget = Budget("bytes", HEADER_BYTES + room)
    chosen = budget.choose(contribution, candidates, trits)
    count = int(chosen.sum())
    best = Budget("trits", count).choose(contribution, candidates, trits) if count else torch.zeros_like(candidates)
    assert torch.equal(chosen, best)
    if count < int(candidates.sum()):
        assert patch_bytes(network, trits, chosen, np.ones(len(trits), np.int64)) >= budget.amount - 4 - room // 20


@pytest.mark.parametrize("seed", range(4))
def test_the_row_lies_in_place_and_comes_back(seed: int) -> None:
    network, trits = sample(seed)
    assert sorted(trits.places.tolist()) == list(range(len(trits)))
    weights = {layer.name: torch.from_numpy(layer.weights) for layer in network.ternary_layers()}
    values = np.zeros(len(trits), dtype=np.int8)
    values[trits.places.numpy()] = trits.row(weights).numpy()
    assert np.array_equal(values, network_trits(network))
    row = torch.arange(len(trits)) % 3 == 0
    masks = trits.by_layer(row)
    assert torch.equal(trits.row(masks), row)
    assert sum(int(mask.sum()) for mask in masks.values()) == int(row.sum())


@pytest.mark.parametrize("wanted", [0, 1, 5, 17])
def test_a_ratio_is_rounded_down_to_whole_trits(wanted: int) -> None:
    _, trits = sample(1)
    just_below = math.nextafter((wanted + 1) / len(trits), 0)
    while just_below * len(trits) >= wanted + 1:
        just_below = math.nextafter(just_below, 0)
    assert Budget("ratio", just_below).limit(trits) == wanted
    above = (wanted + 1) / len(trits)
    while above * len(trits) < wanted + 1:
        above = math.nextafter(above, 1)
    assert Budget("ratio", above).limit(trits) == wanted + 1


@pytest.mark.parametrize(
    ("unit", "amount", "sentence"),
    [
        *(("ratio", amount, "must be above 0 and at most 1") for amount in (0.0, -0.1, 1.1, math.nan, math.inf)),
        *(("trits", amount, "it must be a whole number from 1") for amount in (0, -3, 1.5, math.nan)),
        ("words", 0, "the budget is 0 words; it must be a whole number from 1"),
        ("bytes", HEADER_BYTES, f"a whole number from {HEADER_BYTES + 1}; the header of a patch alone takes"),
    ],
)
def test_amounts_out_of_range_are_refused(unit, amount, sentence) -> None:
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        Budget(unit, amount)
