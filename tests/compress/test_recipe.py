from __future__ import annotations

import dataclasses
import json
import math

import pytest

from tritforge.compress.recipe import FIELDS, Recipe, load_recipe, parse_recipe, recipe_names
from tritforge.errors import RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_loads_and_survives_its_own_toml(name):
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_toml(), "copy") == recipe


def test_infinite_clipping_and_awkward_strings_survive_toml():
    recipe = dataclasses.replace(Recipe(), clipping=math.inf, data_folder='a "b"\\c')
    assert parse_recipe(recipe.to_toml(), "copy") == recipe


def test_overrides_win_and_take_bare_words():
    recipe = load_recipe("digits_ternary", ["epochs=3", "precision=float", "widths=[16, 32]", "penalty=1"])
    assert (recipe.epochs, recipe.precision, recipe.widths, recipe.penalty) == (3, "float", (16, 32), 1.0)


def test_an_unknown_key_is_named_with_its_file_and_the_allowed_keys(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("epohcs = 3\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert "'epohcs'" in str(caught.value)
    assert str(path) in str(caught.value)
    assert all(key in str(caught.value) for key in FIELDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 0", "epochs is 0 in x; the least is 1"),
        ("epochs = 1.5", "epochs is 1.5 in x; it takes an integer"),
        ("epochs = true", "epochs is True in x; it takes an integer"),
        ("activation_bits = 4", "activation_bits is 4 in x; allowed are 8, 16"),
        ("widths = []", "widths is"),
        ("learning_rate = 0", "must be above 0"),
        ("learning_rate = nan", "takes a finite number"),
        ("momentum = 1.0", "must be below 1"),
        ("warmup_fraction = -0.1", "the least is 0"),
        ("optimizer = 'lion'", "allowed are sgd, adamw"),
        ("epochs =", "x is not valid TOML"),
    ],
)
def test_values_out_of_range_are_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text, "x")


@pytest.mark.parametrize(
    "text",
    [
        *("epochs = 1", "batch_size = 2", "threads = 1", "checkpoint_steps = 1", "group_channels = 1", "seed = 0"),
        *("end_layer_bits = 2", "end_layer_bits = 9", "decay = 0", "decay = 1", "distillation = 0", "distillation = 1"),
        *("validation_fraction = 0", "validation_fraction = 0.99", "momentum = 0", "momentum = 0.999", "zoom = 0"),
        *("warmup_fraction = 0", "weight_decay = 0", "penalty = 0", "clipping = 0", "clipping = inf", "zoom = 0.9"),
        *("latency_target = 0", "zero_group_target = 0", "label_smoothing = 0", "learning_rate = 1e-300"),
        *("milestones = [0.001, 0.999]", "milestones = [0.5]", "widths = [1]"),
    ],
)
def test_values_at_the_ends_of_their_range_are_taken(text):
    recipe = parse_recipe(text, "x")
    key, _, value = text.partition(" = ")
    taken = getattr(recipe, key)
    assert list(taken) == json.loads(value) if isinstance(taken, tuple) else taken == float(value)


@pytest.mark.parametrize(
    "text",
    [
        *("end_layer_bits = 1", "end_layer_bits = 10", "decay = 1.01", "distillation = 1.01", "batch_size = 1"),
        *("validation_fraction = 1", "zoom = 1", "warmup_fraction = 1", "label_smoothing = 1", "zero_group_target = 1"),
        *("temperature = 0", "widths = [0]", "widths = [16, 1.5]", "penalty = inf", "seed = -1"),
        *("milestones = []", "milestones = [0]", "milestones = [1]", "milestones = [0.6, 0.5]", "milestones = 0.5"),
    ],
)
def test_values_just_beside_their_range_are_refused(text):
    with pytest.raises(RecipeError, match=rf"^{text.partition(' ')[0]} is .* in x; "):
        parse_recipe(text, "x")


def test_missing_recipes_and_malformed_overrides_are_told():
    with pytest.raises(RecipeError, match="there is no recipe 'nothing'; there are cifar10_float"):
        load_recipe("nothing")
    with pytest.raises(RecipeError, match=r"cannot read recipe missing\.toml"):
        load_recipe("missing.toml")
    with pytest.raises(RecipeError, match="not of the form key=value"):
        load_recipe("digits_ternary", ["epochs"])
