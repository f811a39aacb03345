"""What a recipe chooses of a method: its table, checked, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from tritforge.compress.engine.method import Method
from tritforge.compress.run.keys import checked, keys_of
from tritforge.compress.run.recipe import Recipe
from tritforge.errors import RecipeError

Own = TypeVar("Own", bound="Settings")


@dataclass(frozen=True)
class Settings:
    """The settings of a method: a frozen dataclass whose fields are the keys of the method's table in a recipe.

    Every key has a default, and with the defaults the method changes nothing.

    Attributes:
        table: the table's name.
        places: keys that tell where something lies; it may move while a run is stopped.
    """

    table: ClassVar[str]
    places: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls: type[Own], recipe: Recipe) -> Own:
        """The recipe's settings.

        Raises:
            RecipeError: an unknown key, or a value of the wrong type or range.
        """
        keys, values = keys_of(cls), {}
        for name, value in recipe.methods.get(cls.table, {}).items():
            told = f"{cls.table}.{name}"
            if name not in keys:
                allowed = ", ".join(f"{cls.table}.{known}" for known in keys)
                raise RecipeError(f"unknown key {told!r} in the recipe; allowed are {allowed}")
            values[name] = checked(cls, name, value, told, "the recipe")
        return cls(**values)

    @property
    def prunes(self) -> bool:
        """Whether groups of a full-precision model become zero too, and are counted."""
        return False

    def method(self) -> Method | None:
        """The method; None where it would change nothing.

        Raises:
            RecipeError: settings that make no sense together.
        """
        raise NotImplementedError

    def name_parts(self) -> list[str]:
        """What is told of them in a run's name (:func:`tritforge.compress.experiments.plan.run_name`)."""
        return []

    def setting(self) -> dict[str, Any]:
        """What a record tells of them, by the names that records use."""
        return {}

    def without_places(self: Own) -> Own:
        """Settings for others to read: what lies somewhere on this machine is named, not located."""
        return self

    def values(self) -> Mapping[str, Any]:
        """The table: all keys that differ from their defaults."""
        keys = keys_of(type(self))
        return {name: getattr(self, name) for name, one in keys.items() if getattr(self, name) != one.default}


def with_settings(recipe: Recipe, *settings: Settings) -> Recipe:
    """The recipe with these settings instead of its own of the same methods."""
    tables = {**recipe.methods, **{one.table: one.values() for one in settings}}
    return replace(recipe, methods={name: dict(table) for name, table in tables.items() if table})
