"""Keys that recipes had before each method got a table: old recipes, checkpoints and records are read by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

OLD_KEYS: Mapping[str, tuple[str, str, Any]] = {
    "penalty": ("weight_penalty_clipping", "penalty", 0.0),
    "clipping": ("weight_penalty_clipping", "clipping", math.inf),
    "latency_target": ("target_pruning", "cycles", 0.0),
    "latency_weighting": ("target_pruning", "weighting", "cycles"),
    "zero_group_target": ("target_pruning", "zero_groups", 0.0),
    "teacher": ("distillation", "teacher", ""),
    "distillation": ("distillation", "weight", 0.0),
    "temperature": ("distillation", "temperature", 4.0),
    "feature_matching": ("distillation", "feature_matching", 0.0),
}
"""By old key, the table and the key that it is now, and the value that was written where nobody had chosen one."""


def told(keys: Iterable[str]) -> str:
    """A sentence on what old keys are called now."""
    now = ", ".join(f"{key} is now {'.'.join(OLD_KEYS[key][:2])}" for key in dict.fromkeys(keys))
    return f"each method has a table of its own in a recipe: {now}"


def states_of_methods(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By method, the state that a checkpoint of before holds."""
    states = {}
    if content.get("pruning"):
        states["target_pruning"] = content["pruning"]
    if content.get("teacher"):
        states["distillation"] = {"teacher": content["teacher"]}
    return states
