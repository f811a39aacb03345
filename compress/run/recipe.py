"""Recipes: every choice of a training run as a TOML file; the command line overrides any value.

What belongs to a method stands in a table of that method's name. A recipe holds the tables as they were given: what may
stand in one is known by the method alone, and checked by :mod:`tritforge.compress.methods.chosen`.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tritforge.compress.run.keys import checked, key, keys_of, toml_value
from tritforge.compress.run.old_keys import OLD_KEYS, told
from tritforge.errors import RecipeError
from tritforge.files import reason

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, Any]
"""Values of a method by key."""


@dataclass(frozen=True)
class Recipe:
    """One training run, resolved. Every field is a key of the TOML form; docs/training.md explains each.

    ``methods`` alone is none: it holds the tables of the methods, by name.
    """

    dataset: str = "digits"
    data_folder: str = ""
    validation_fraction: float = key(0.1, at_least=0, below=1)
    topology: str = "residual3"
    widths: tuple[int, ...] = (16, 32, 64)
    precision: str = key("ternary", one_of=("ternary", "float"))
    layers: str = key("plain", one_of=("plain", "brevitas"))
    end_layers: str = key("integer", one_of=("integer", "ternary", "float"))
    end_layer_bits: int = key(8, at_least=2, at_most=9)
    activation_bits: int = key(8, one_of=(8, 16, 32))
    group_channels: int = key(16, at_least=1)
    epochs: int = key(60, at_least=1)
    batch_size: int = key(64, at_least=2)
    optimizer: str = key("sgd", one_of=("sgd", "adamw"))
    schedule: str = key("one_cycle", one_of=("one_cycle", "steps"))
    learning_rate: float = key(0.1, above=0)
    momentum: float = key(0.9, at_least=0, below=1)
    weight_decay: float = key(1e-4, at_least=0)
    warmup_fraction: float = key(0.2, at_least=0, below=1)
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = key(0.1, at_least=0, at_most=1)
    label_smoothing: float = key(0.0, at_least=0, below=1)
    shift_pixels: int = key(0, at_least=0)
    rotation_degrees: float = key(0.0, at_least=0)
    zoom: float = key(0.0, at_least=0, below=1)
    flip: bool = False
    fill: str = key("black", one_of=("black", "mean"))
    augmentation_keys: str = key("stream", one_of=("stream", "sample"))
    norm_statistics: str = key("batch", one_of=("batch", "frozen"))
    settled_on: str = key("plain", one_of=("plain", "augmented"))
    seed: int = key(0, at_least=0)
    threads: int = key(1, at_least=1)
    device: str = "cpu"
    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False
    fused: bool = False
    checkpoint_steps: int = key(200, at_least=1)
    tensorboard: bool = False
    methods: Mapping[str, Table] = field(default_factory=dict, hash=False)

    def values(self) -> dict[str, Any]:
        """Every key with its value, then a mapping for each method's table; :func:`replace_values` takes them."""
        return {name: getattr(self, name) for name in FIELDS} | {name: dict(own) for name, own in self.methods.items()}

    def to_toml(self) -> str:
        """The recipe as a TOML document that :func:`parse_recipe` reads back."""
        tables = "".join(f"\n[{name}]\n{_lines(table)}" for name, table in self.methods.items())
        return _lines({name: getattr(self, name) for name in FIELDS}) + tables


FIELDS = keys_of(Recipe)
"""The keys outside the tables."""
NOT_DECISIVE = ("threads", "compiled", "fused", "checkpoint_steps", "tensorboard", "data_folder")
"""Keys that say where and how a run is computed, not which run it is."""


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files(__package__) / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by the name of one that comes with the package or by the path of a TOML file.

    Keys of before each method had a table are read, and told of in one warning.

    Args:
        name: ``digits_ternary``, or ``path/to/own.toml``.
        overrides: ``key=value`` or ``method.key=value`` with the value as in TOML; a bare word is taken as a string.

    Raises:
        RecipeError: no such recipe, an unknown key, or a value of the wrong type or range.
    """
    if name in recipe_names():
        source = f"recipe {name}"
        text = (resources.files(__package__) / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).suffix == ".toml":
        source = name
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = reason(error) if isinstance(error, OSError) else "it is not UTF-8 text"
            raise RecipeError(f"cannot read recipe {name}: {why}") from error
    else:
        raise RecipeError(
            f"there is no recipe {name!r}; there are {', '.join(recipe_names())}, or the path of a .toml file"
        )
    values = _parsed(text, source)
    recipe = replace_values(Recipe(), values, source)
    old = _old_keys(values)
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"the override {override!r} is not of the form key=value")
        given = {name.strip(): _override_value(value.strip())}
        recipe = replace_values(recipe, given, "the command line")
        old += _old_keys(given)
    if old:
        warnings.warn(told(old), stacklevel=2)
    return recipe


def parse_recipe(text: str, source: str) -> Recipe:
    """A recipe from TOML text; ``source`` names it in messages. Keys left out take their defaults."""
    return replace_values(Recipe(), _parsed(text, source), source)


def replace_values(recipe: Recipe, values: Mapping[str, Any], source: str) -> Recipe:
    """The recipe with some values replaced, and checked where they stand outside the tables.

    Args:
        recipe: to begin with.
        values: by key, by ``method.key``, or a method's values by its name; old keys too.
        source: names them in messages.

    Raises:
        RecipeError: naming the key, its source and what is allowed.
    """
    plain: dict[str, Any] = {}
    tables = {name: dict(table) for name, table in recipe.methods.items()}
    for name, value in values.items():
        table, dot, own = name.partition(".")
        if name in FIELDS:
            plain[name] = checked(Recipe, name, value, name, source)
        elif dot:
            tables.setdefault(table, {})[own] = value
        elif isinstance(value, Mapping):
            tables.setdefault(name, {}).update(value)
        elif name in OLD_KEYS:
            table, own, unchosen = OLD_KEYS[name]
            tables.setdefault(table, {})[own] = value
            if value == unchosen:
                del tables[table][own]
        else:
            raise RecipeError(
                f"unknown key {name!r} in {source}; allowed are {', '.join(FIELDS)}, and a table for each method"
            )
    return dataclasses.replace(recipe, **plain, methods={name: table for name, table in tables.items() if table})


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise RecipeError(f"{source} is not valid TOML: its lists and tables lie too deep in one another") from error


def _old_keys(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if name in OLD_KEYS and not isinstance(value, Mapping)]


def _override_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _lines(values: Table) -> str:
    return "".join(f"{name} = {toml_value(value)}\n" for name, value in values.items())
