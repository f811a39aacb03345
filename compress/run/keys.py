"""Keys of a recipe: what a value may be, said where the key is declared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, get_type_hints

from tritforge.errors import RecipeError

KINDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "true or false",
    tuple[int, ...]: "a list of positive integers",
    tuple[float, ...]: "rising fractions between 0 and 1",
}
"""What a key takes, by its type."""


@dataclass(frozen=True)
class Allowed:
    """Which values of its type a key takes; ``infinite`` numbers where that is said."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    one_of: tuple[Any, ...] = ()
    infinite: bool = False

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, as a clause; None where nothing is."""
        if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and not self.infinite)):
            return "it takes a finite number"
        if self.one_of and value not in self.one_of:
            return f"allowed are {', '.join(map(str, self.one_of))}"
        if not isinstance(value, int | float):
            return None
        if value < self.at_least:
            return f"the least is {self.at_least:g}"
        if value <= self.above and math.isfinite(self.above):
            return f"it must be above {self.above:g}"
        if value > self.at_most:
            return f"the most is {self.at_most:g}"
        if value >= self.below and math.isfinite(self.below):
            return f"it must be below {self.below:g}"
        return None


def key(default: Any, **allowed: Any) -> Any:
    """A key of a frozen dataclass with what :class:`Allowed` says of it."""
    return field(default=default, metadata={"allowed": Allowed(**allowed)})


def keys_of(owner: type) -> Mapping[str, Field[Any]]:
    """The keys of a dataclass by name, in order."""
    return {one.name: one for one in fields(owner) if one.default is not MISSING}


def checked(owner: type, name: str, value: Any, told: str, source: str) -> Any:
    """A value of a key, of the key's type.

    Args:
        owner: the dataclass with the key.
        name: of the key.
        value: as TOML gives it.
        told: what the key is called in messages.
        source: where it stands, in messages.

    Raises:
        RecipeError: a value of another type or out of range.
    """
    wanted = _types(owner)[name]
    taken = _of_type(wanted, value)
    if taken is None:
        raise RecipeError(f"{told} is {value!r} in {source}; it takes {KINDS[wanted]}")
    problem = keys_of(owner)[name].metadata.get("allowed", Allowed()).problem(taken)
    if problem is not None:
        shown = repr(taken) if isinstance(taken, str) else taken
        raise RecipeError(f"{told} is {shown} in {source}; {problem}")
    return taken


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return repr(value)


@cache
def _types(owner: type) -> Mapping[str, Any]:
    return get_type_hints(owner)


def _of_type(wanted: Any, value: Any) -> Any:
    """The value as one of a key's type; None where it is none."""
    if wanted is float and type(value) is int:
        return float(value)
    if wanted == tuple[int, ...]:
        fits = isinstance(value, list | tuple) and value and all(type(one) is int and one > 0 for one in value)
        return tuple(value) if fits else None
    if wanted == tuple[float, ...]:
        numbers = list(value) if isinstance(value, list | tuple) else []
        fits = numbers and all(type(one) in (int, float) and 0 < one < 1 for one in numbers)
        return tuple(map(float, numbers)) if fits and numbers == sorted(numbers) else None
    return value if type(value) is wanted else None
