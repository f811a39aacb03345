"""The update policies there are, by the names that commands and studies use. A new one is a file and a line here."""

from __future__ import annotations

from tritforge.compress.updates.deep_partial import DeepPartial
from tritforge.compress.updates.full_retraining import FullRetraining
from tritforge.compress.updates.policy import Policy
from tritforge.errors import RecipeError

POLICIES: dict[str, Policy] = {
    "partial": DeepPartial(),
    "full": FullRetraining(),
}


def policy_named(name: str) -> Policy:
    """A policy of the table.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in POLICIES:
        raise RecipeError(f"there is no update policy {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]
