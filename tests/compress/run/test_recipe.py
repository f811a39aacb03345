from __future__ import annotations

import dataclasses
import json
import math
import warnings

import pytest

from tritforge.compress.run.old_keys import OLD_KEYS
from tritforge.compress.run.recipe import FIELDS, Recipe, load_recipe, parse_recipe, recipe_names, replace_values
from tritforge.errors import RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_loads_without_a_word_and_survives_its_own_toml(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = load_recipe(name)
    assert parse_recipe(recipe.to_toml(), "copy") == recipe
    assert replace_values(Recipe(), recipe.values(), "copy") == recipe


def test_infinite_numbers_and_awkward_strings_survive_toml():
    tables = {"one": {"limit": math.inf, "names": ["a", 'b"'], "on": True}, "two": {"rate": 1e-5}}
    recipe = dataclasses.replace(Recipe(), data_folder='a "b"\\c', methods=tables)
    assert parse_recipe(recipe.to_toml(), "copy") == recipe


def test_overrides_win_and_take_bare_words():
    recipe = load_recipe("digits_ternary", ["epochs=3", "precision=float", "widths=[16, 32]", "one.what=word"])
    assert (recipe.epochs, recipe.precision, recipe.widths) == (3, "float", (16, 32))
    assert recipe.methods == load_recipe("digits_ternary").methods | {"one": {"what": "word"}}


def test_equal_recipes_are_one_in_a_set_and_tables_tell_others_apart():
    one, same = (parse_recipe("[a]\nb = 1\n[c]\nd = 2", "x") for _ in range(2))
    other = parse_recipe("[a]\nb = 2\n[c]\nd = 2", "x")
    assert list(dict.fromkeys([one, other, same])) == [one, other]
    assert parse_recipe("[c]\nd = 2\n[a]\nb = 1", "x") == one
    assert parse_recipe("[a]", "x") == Recipe()


OLD = """
epochs = 3
penalty = 0.003
clipping = inf
latency_target = 0.0
latency_weighting = "cycles"
zero_group_target = 0.5
teacher = "runs/a"
distillation = 0.7
temperature = 2.0
feature_matching = 0.0
"""
NEW = {
    "weight_penalty_clipping": {"penalty": 0.003},
    "target_pruning": {"zero_groups": 0.5},
    "distillation": {"teacher": "runs/a", "weight": 0.7, "temperature": 2.0},
}


def test_a_flat_recipe_of_before_is_read_and_says_once_what_its_keys_are_now(tmp_path):
    path = tmp_path / "old.toml"
    path.write_text(OLD)
    with pytest.warns(UserWarning) as told:
        recipe = load_recipe(str(path), ["penalty=0.006", "seed=3"])
    (warning,) = told
    assert all(f"{old} is now {table}.{key}" in str(warning.message) for old, (table, key, _) in OLD_KEYS.items())
    assert str(warning.message).count("penalty is now") == 1 and "\n" not in str(warning.message)
    assert (recipe.epochs, recipe.seed) == (3, 3)
    assert recipe.methods == NEW | {"weight_penalty_clipping": {"penalty": 0.006}}


def test_texts_of_before_that_no_user_wrote_are_read_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_recipe(OLD, "a record").methods == NEW
        nothing = "penalty = 0.0\nclipping = inf\nteacher = ''\ndistillation = 0.0\ntemperature = 4.0"
        assert parse_recipe(nothing, "a record") == Recipe()


def test_an_old_key_replaces_the_new_one_and_the_value_that_meant_nothing_takes_it_away():
    recipe = load_recipe("digits_ternary")
    changed = replace_values(recipe, {"penalty": 0.5, "distillation": 0.25}, "x")
    assert changed.methods["weight_penalty_clipping"] == {"penalty": 0.5, "clipping": 1.6}
    assert changed.methods["distillation"] == {"weight": 0.25}
    assert replace_values(changed, {"penalty": 0.0}, "x").methods["weight_penalty_clipping"] == {"clipping": 1.6}


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
        ("epochs = " + "[" * 100_000, "x is not valid TOML: its lists and tables lie too deep"),
        ("milestones = [0.5, 0.4]", r"milestones is \[0.5, 0.4\] in x; it takes rising fractions between 0 and 1"),
        ("milestones = []", "it takes rising fractions"),
        ("widths = [16, 0]", "it takes a list of positive integers"),
        ("decay = 1.1", "decay is 1.1 in x; the most is 1"),
        ("[epochs]\na = 1", "epochs is {'a': 1} in x; it takes an integer"),
    ],
)
def test_values_out_of_range_are_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text, "x")


def test_missing_recipes_and_malformed_overrides_are_told():
    with pytest.raises(RecipeError, match="there is no recipe 'nothing'; there are cifar10_float"):
        load_recipe("nothing")
    with pytest.raises(RecipeError, match=r"cannot read recipe missing\.toml"):
        load_recipe("missing.toml")
    with pytest.raises(RecipeError, match="not of the form key=value"):
        load_recipe("digits_ternary", ["epochs"])


@pytest.mark.parametrize(
    "text",
    [
        *("epochs = 1", "batch_size = 2", "threads = 1", "checkpoint_steps = 1", "group_channels = 1", "seed = 0"),
        *("end_layer_bits = 2", "end_layer_bits = 9", "decay = 0", "decay = 1", "zoom = 0", "zoom = 0.9"),
        *("validation_fraction = 0", "validation_fraction = 0.99", "momentum = 0", "momentum = 0.999"),
        *("warmup_fraction = 0", "weight_decay = 0", "label_smoothing = 0", "learning_rate = 1e-300"),
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
        *("end_layer_bits = 1", "end_layer_bits = 10", "decay = 1.01", "batch_size = 1", "seed = -1"),
        *("validation_fraction = 1", "zoom = 1", "warmup_fraction = 1", "label_smoothing = 1"),
        *("widths = [0]", "widths = [16, 1.5]"),
        *("milestones = []", "milestones = [0]", "milestones = [1]", "milestones = [0.6, 0.5]", "milestones = 0.5"),
    ],
)
def test_values_just_beside_their_range_are_refused(text):
    with pytest.raises(RecipeError, match=rf"^{text.partition(' ')[0]} is .* in x; "):
        parse_recipe(text, "x")
