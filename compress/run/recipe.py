"""Recipes: every choice of a training run as a flat TOML file; the command line overrides any value."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from tritforge.errors import RecipeError
from tritforge.files import reason

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Recipe:
    """One training run, resolved. Every field is a key of the TOML form; docs/training.md explains each."""

    dataset: str = "digits"
    data_folder: str = ""
    validation_fraction: float = 0.1
    topology: str = "residual3"
    widths: tuple[int, ...] = (16, 32, 64)
    precision: str = "ternary"
    layers: str = "plain"
    end_layers: str = "integer"
    end_layer_bits: int = 8
    activation_bits: int = 8
    group_channels: int = 16
    epochs: int = 60
    batch_size: int = 64
    optimizer: str = "sgd"
    schedule: str = "one_cycle"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.2
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1
    label_smoothing: float = 0.0
    penalty: float = 0.0
    clipping: float = math.inf
    latency_target: float = 0.0
    latency_weighting: str = "cycles"
    zero_group_target: float = 0.0
    teacher: str = ""
    distillation: float = 0.0
    temperature: float = 4.0
    feature_matching: float = 0.0
    shift_pixels: int = 0
    rotation_degrees: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    fill: str = "black"
    augmentation_keys: str = "stream"
    norm_statistics: str = "batch"
    settled_on: str = "plain"
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False
    fused: bool = False
    checkpoint_steps: int = 200
    tensorboard: bool = False

    def to_toml(self) -> str:
        """The recipe as a TOML document that :func:`parse_recipe` reads back."""
        values = dataclasses.asdict(self)
        return "".join(f"{key} = {_toml_value(value)}\n" for key, value in values.items())


FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
NOT_DECISIVE = ("threads", "compiled", "fused", "checkpoint_steps", "tensorboard", "data_folder")
"""Keys that say where and how a run is computed, not which run it is."""
_TYPES = get_type_hints(Recipe)

_AT_LEAST: dict[str, float] = {
    "epochs": 1,
    "batch_size": 2,
    "threads": 1,
    "checkpoint_steps": 1,
    "group_channels": 1,
    "seed": 0,
    "end_layer_bits": 2,
    "decay": 0,
    "validation_fraction": 0,
    "warmup_fraction": 0,
    "momentum": 0,
    "weight_decay": 0,
    "penalty": 0,
    "clipping": 0,
    "latency_target": 0,
    "zero_group_target": 0,
    "distillation": 0,
    "feature_matching": 0,
    "shift_pixels": 0,
    "rotation_degrees": 0,
    "zoom": 0,
    "label_smoothing": 0,
}
_ABOVE: dict[str, float] = {"learning_rate": 0, "temperature": 0}
_AT_MOST: dict[str, float] = {"end_layer_bits": 9, "decay": 1, "distillation": 1}
_BELOW: dict[str, float] = {
    "validation_fraction": 1,
    "momentum": 1,
    "zoom": 1,
    "warmup_fraction": 1,
    "label_smoothing": 1,
    "zero_group_target": 1,
}
_ONE_OF: dict[str, tuple[Any, ...]] = {
    "precision": ("ternary", "float"),
    "layers": ("plain", "brevitas"),
    "end_layers": ("integer", "ternary", "float"),
    "activation_bits": (8, 16, 32),
    "fill": ("black", "mean"),
    "settled_on": ("plain", "augmented"),
    "augmentation_keys": ("stream", "sample"),
    "norm_statistics": ("batch", "frozen"),
    "optimizer": ("sgd", "adamw"),
    "latency_weighting": ("cycles", "uniform"),
    "schedule": ("one_cycle", "steps"),
}


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files(__package__) / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by the name of one that comes with the package or by the path of a TOML file.

    Args:
        name: ``digits_ternary``, or ``path/to/own.toml``.
        overrides: ``key=value`` with the value as in TOML; a bare word is taken as a string.

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
    recipe = parse_recipe(text, source)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"the override {override!r} is not of the form key=value")
        recipe = replace_values(recipe, {key.strip(): _override_value(value.strip())}, "the command line")
    return recipe


def parse_recipe(text: str, source: str) -> Recipe:
    """A recipe from TOML text; ``source`` names it in messages. Keys left out take their defaults."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not valid TOML: {error}") from error
    return replace_values(Recipe(), values, source)


def replace_values(recipe: Recipe, values: Mapping[str, Any], source: str) -> Recipe:
    """The recipe with some values replaced and checked.

    Raises:
        RecipeError: naming the key, its source and what is allowed.
    """
    checked = {key: _checked(key, value, source) for key, value in values.items()}
    return dataclasses.replace(recipe, **checked)


def _checked(key: str, value: Any, source: str) -> Any:
    if key not in FIELDS:
        raise RecipeError(f"unknown key {key!r} in {source}; allowed are {', '.join(FIELDS)}")
    wanted = _TYPES[key]
    if wanted is float and type(value) is int:
        value = float(value)
    if key == "widths":
        if not isinstance(value, list | tuple) or not value or not all(type(x) is int and x > 0 for x in value):
            raise RecipeError(f"widths is {value!r} in {source}; it takes a list of positive integers")
        return tuple(value)
    if key == "milestones":
        fractions = value if isinstance(value, list | tuple) else ()
        if not all(type(x) in (int, float) and 0 < x < 1 for x in fractions) or list(fractions) != sorted(fractions):
            fractions = ()
        if not fractions:
            raise RecipeError(f"milestones is {value!r} in {source}; it takes rising fractions between 0 and 1")
        return tuple(map(float, value))
    if type(value) is not wanted:
        raise RecipeError(f"{key} is {value!r} in {source}; it takes {_KIND[wanted]}")
    if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and key != "clipping")):
        raise RecipeError(f"{key} is {value} in {source}; it takes a finite number")
    if key in _AT_LEAST and value < _AT_LEAST[key]:
        raise RecipeError(f"{key} is {value} in {source}; the least is {_AT_LEAST[key]:g}")
    if key in _ABOVE and value <= _ABOVE[key]:
        raise RecipeError(f"{key} is {value} in {source}; it must be above {_ABOVE[key]:g}")
    if key in _AT_MOST and value > _AT_MOST[key]:
        raise RecipeError(f"{key} is {value} in {source}; the most is {_AT_MOST[key]:g}")
    if key in _BELOW and value >= _BELOW[key]:
        raise RecipeError(f"{key} is {value} in {source}; it must be below {_BELOW[key]:g}")
    if key in _ONE_OF and value not in _ONE_OF[key]:
        raise RecipeError(f"{key} is {value!r} in {source}; allowed are {', '.join(map(str, _ONE_OF[key]))}")
    return value


_KIND = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def _override_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return repr(value)
