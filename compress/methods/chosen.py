"""The methods that there are, and those that a recipe chooses."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tritforge.compress.engine.method import Method, Run
from tritforge.compress.methods.settings import Settings, with_settings
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import FIELDS, NOT_DECISIVE, Recipe
from tritforge.errors import RecipeError

METHODS = {
    "weight_penalty_clipping": "tritforge.compress.methods.weight_penalty_clipping:WeightPenaltyClippingSettings",
    "target_pruning": "tritforge.compress.methods.target_pruning:TargetPruningSettings",
    "distillation": "tritforge.compress.methods.distillation:DistillationSettings",
}
"""By the name of its table, the settings of each method as ``module:class``, imported when a recipe has the table.

Methods act, and are told of in names and logs, in this order."""


def settings_of(recipe: Recipe) -> dict[str, Settings]:
    """By name, the settings of the methods that have a table in the recipe.

    Raises:
        RecipeError: a table of no method, an unknown key, or a value of the wrong type or range.
    """
    for name in recipe.methods:
        if name not in METHODS:
            raise RecipeError(f"unknown table {name!r} in the recipe; methods are {', '.join(METHODS)}")
    return {name: _settings(name).of(recipe) for name in METHODS if name in recipe.methods}


def every_setting(recipe: Recipe) -> dict[str, Settings]:
    """By name, the recipe's settings of all methods, the defaults of those without a table."""
    return {name: _settings(name).of(recipe) for name in METHODS}


def begun_methods(recipe: Recipe, model: Model, steps: int) -> dict[str, Method]:
    """By name, the methods that act on a training of the model by the recipe; all have begun.

    Args:
        recipe: which methods, and their settings.
        model: as initialised.
        steps: of the whole training.

    Raises:
        RecipeError: settings that make no sense, or that this model cannot be trained with.
    """
    made = {name: settings.method() for name, settings in settings_of(recipe).items()}
    methods = {name: method for name, method in made.items() if method is not None}
    for method in methods.values():
        method.begin(Run(model, steps, recipe.group_channels, methods))
    return methods


def prunes(recipe: Recipe) -> bool:
    """Whether a model trained by the recipe can have zero groups: it is ternary, or a method empties them."""
    return recipe.precision == "ternary" or any(settings.prunes for settings in settings_of(recipe).values())


def without_places(recipe: Recipe) -> Recipe:
    """The recipe for others to read: what its methods need from this machine is named, not located."""
    return with_settings(recipe, *(settings.without_places() for settings in settings_of(recipe).values()))


def differences(one: Recipe, other: Recipe) -> Iterator[tuple[str, Any, Any]]:
    """Each key, ``method.key`` for those of methods, in which two recipes differ, and both its values."""
    for name in FIELDS:
        if getattr(one, name) != getattr(other, name):
            yield name, getattr(one, name), getattr(other, name)
    for name in {**settings_of(one), **settings_of(other)}:
        ours, theirs = (vars(_settings(name).of(recipe)) for recipe in (one, other))
        yield from ((f"{name}.{key}", ours[key], theirs[key]) for key in ours if ours[key] != theirs[key])


def may_differ(key: str) -> bool:
    """Whether a key, as :func:`differences` names it, may change while a run is stopped."""
    table, dot, own = key.partition(".")
    return own in _settings(table).places if dot else key in NOT_DECISIVE


def _settings(name: str) -> type[Settings]:
    module, _, kind = METHODS[name].partition(":")
    settings: type[Settings] = getattr(import_module(module), kind)
    return settings
