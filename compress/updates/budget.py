"""How much an update may change or send: a fraction of the trits, a number of them, of weight words, or of bytes."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from tritforge.compress.updates.contributions import best_first
from tritforge.compress.updates.positions import StoredTrits
from tritforge.errors import RecipeError
from tritforge.patches.codec import largest_change_bytes
from tritforge.patches.file import HEADER_BYTES

Unit = Literal["ratio", "trits", "words", "bytes"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True)
class Budget:
    """What an update may take, of one kind.

    Attributes:
        unit: of ``amount``. ``ratio``: changed trits over trits in stored groups, rounded down to whole trits.
            ``trits``: changed trits. ``words``: 36-bit weight words of the accelerator that change, which is what it
            stages and commits; trits that share a word take it once. ``bytes``: of the unsigned patch file.
        amount: above 0 and at most 1 for a ratio, else a whole number from 1.

    Raises:
        RecipeError: an amount out of range.
    """

    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        assert self.unit in UNITS, self.unit
        if self.unit == "ratio":
            if not 0 < self.amount <= 1:
                raise RecipeError(f"the updating ratio is {self.amount}; it must be above 0 and at most 1")
            return
        least, header = 1, ""
        if self.unit == "bytes":
            least, header = HEADER_BYTES + 1, f"; the header of a patch alone takes {HEADER_BYTES}"
        if not (self.amount >= least and float(self.amount).is_integer()):
            raise RecipeError(
                f"the budget is {self.amount} {self.unit}; it must be a whole number from {least}{header}"
            )

    def limit(self, trits: StoredTrits) -> int:
        """The amount as a whole number: of trits where it is a ratio."""
        return math.floor(self.amount * len(trits)) if self.unit == "ratio" else int(self.amount)

    @property
    def counted(self) -> str:
        """What :meth:`limit` counts: ``trits``, ``words`` or ``bytes``."""
        return "trits" if self.unit == "ratio" else self.unit

    def choose(self, contribution: Tensor, candidates: Tensor, trits: StoredTrits) -> Tensor:
        """Which candidates may change: greedily by contribution, as many as the budget takes.

        Whichever of the chosen trits differ in the end, and however, the budget holds. A larger budget of the same
        unit chooses a superset; one that does not bind chooses every candidate.

        Args:
            contribution: one value a trit of the row, ``(n,)``.
            candidates: which of them may be chosen, ``(n,)`` bool.
            trits: the row.
        """
        order, limit = best_first(contribution, candidates), self.limit(trits)
        if self.counted == "words":
            order = order[_in_first_words(trits.words[order], limit)]
        elif self.counted == "bytes":
            order = order[: _fitting(trits.places[order], len(trits), limit)]
        else:
            order = order[:limit]
        chosen = torch.zeros_like(candidates)
        chosen[order] = True
        return chosen


def _in_first_words(words: Tensor, limit: int) -> Tensor:
    """Which of the trits, best first, lie in the ``limit`` words that come first."""
    distinct, which = torch.unique(words, return_inverse=True)
    first = torch.full((len(distinct),), len(words)).scatter_reduce(0, which, torch.arange(len(words)), "amin")
    opened = torch.zeros(len(distinct), dtype=torch.bool)
    opened[first.argsort()[:limit]] = True
    return opened[which]


def _fitting(places: Tensor, total: int, limit: int) -> int:
    """How many trits, best first, a patch of at most ``limit`` bytes can change."""

    def size(count: int) -> int:
        return HEADER_BYTES + largest_change_bytes(places[:count].sort().values.numpy(), total)

    return bisect_right(range(len(places) + 1), limit, key=size) - 1
