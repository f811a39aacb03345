"""Dataclasses as JSON objects: the type of a field is the form of its value, checked when it is read.

A field that stands at its default is left out of the object, and a field with a default may be missing there. Types are
``int``, ``float``, ``str``, ``tuple[X, ...]``, ``Mapping[str, X]``, ``X | None`` and dataclasses of such fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from tritforge.errors import ResultFileError
from tritforge.results import shortened

_FORMS = {int: "a whole number", float: "a number", str: "a string", tuple: "a list", Mapping: "an object"}


def to_json(value: Any) -> Any:
    """``value`` with every dataclass in it as a dictionary and every tuple as a list."""
    if is_dataclass(value):
        held = [(entry, getattr(value, entry.name)) for entry in fields(value)]
        return {entry.name: to_json(own) for entry, own in held if own != entry.default}
    if isinstance(value, Mapping):
        return {name: to_json(entry) for name, entry in value.items()}
    return [to_json(entry) for entry in value] if isinstance(value, tuple | list) else value


def from_json(kind: Any, value: Any, file: str, place: str) -> Any:
    """The ``kind`` that ``value`` is in JSON; one that is a ``kind`` already stays as it is.

    Args:
        kind: a type of those above.
        value: what a JSON file holds.
        file: its name, for the sentence.
        place: dotted path to the value, for the sentence.

    Raises:
        ResultFileError: a value of another form, a missing field, or one that nobody knows.
    """
    held, inner = get_origin(kind) or kind, get_args(kind)
    if NoneType in inner:
        return None if value is None else from_json(inner[0], value, file, place)
    if is_dataclass(held):
        return value if isinstance(value, held) else _dataclass(held, value, file, place)  # type: ignore[arg-type]
    if held is tuple and isinstance(value, list | tuple):
        return tuple(from_json(inner[0], entry, file, f"{place}[{index}]") for index, entry in enumerate(value))
    if held is Mapping and isinstance(value, Mapping):
        return {name: from_json(inner[1], entry, file, f"{place}.{name}") for name, entry in value.items()}
    if type(value) is held or (held is float and type(value) is int):
        return value
    raise ResultFileError(f"{file}: {place} is {shortened(value)}, but must be {_FORMS[held]}")


def _dataclass(kind: type, value: Any, file: str, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise ResultFileError(f"{file}: {place} is {shortened(value)}, but must be {_FORMS[Mapping]}")
    known = {entry.name: entry for entry in fields(kind)}
    for name in value:
        if name not in known:
            raise ResultFileError(f"{file} has the unknown field '{place}.{name}'; allowed are {', '.join(known)}")
    for name, entry in known.items():
        if name not in value and entry.default is MISSING:
            raise ResultFileError(f"{file} lacks the field '{place}.{name}'")
    types = get_type_hints(kind)
    return kind(**{name: from_json(types[name], entry, file, f"{place}.{name}") for name, entry in value.items()})
