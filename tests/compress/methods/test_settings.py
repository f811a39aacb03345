"""What the tables of methods take, at the very ends."""

from __future__ import annotations

import pytest

from tritforge.compress.methods.chosen import settings_of
from tritforge.compress.run.recipe import parse_recipe
from tritforge.errors import RecipeError


@pytest.mark.parametrize(
    "text",
    [
        *("weight_penalty_clipping.penalty = 0", "weight_penalty_clipping.clipping = 0"),
        *("weight_penalty_clipping.clipping = inf", "target_pruning.cycles = 0", "target_pruning.zero_groups = 0"),
        *("target_pruning.zero_groups = 0.999", "distillation.weight = 0", "distillation.weight = 1"),
        *("distillation.temperature = 1e-300", "distillation.feature_matching = 0"),
    ],
)
def test_values_at_the_ends_of_their_range_are_taken(text):
    place, _, value = text.partition(" = ")
    method, _, key = place.partition(".")
    assert getattr(settings_of(parse_recipe(text, "x"))[method], key) == float(value)


@pytest.mark.parametrize(
    "text",
    [
        *("weight_penalty_clipping.penalty = -1e-9", "weight_penalty_clipping.penalty = inf"),
        *("target_pruning.zero_groups = 1", "distillation.weight = 1.01", "distillation.temperature = 0"),
        *("distillation.feature_matching = -1", "target_pruning.cycles = nan"),
    ],
)
def test_values_just_beside_their_range_are_refused(text):
    with pytest.raises(RecipeError, match=rf"^{text.partition(' ')[0]} is .* in the recipe; "):
        settings_of(parse_recipe(text, "x"))
