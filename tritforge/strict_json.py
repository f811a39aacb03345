"""JSON of files that nobody vouches for: what is read can be used, and written again, without surprise."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 64
"""Lists and objects that may lie in one another."""


def read_json(content: str | bytes) -> Any:
    """The value that ``content`` holds.

    Raises:
        ValueError: it is no JSON, holds a number that is not finite, one key twice, or more than 64 levels.
    """
    try:
        value = json.loads(content, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError(f"it holds more than {MAX_DEPTH} levels of lists and objects") from error
    _check_depth(value)
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"found {text}, but numbers must be finite")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} stands twice in an object")
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(f"it holds more than {MAX_DEPTH} levels of lists and objects")
