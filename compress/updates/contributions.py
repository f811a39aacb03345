"""How much each weight contributed to a lower loss: what deep partial updating selects by (DPU, Sec. 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def global_contribution(before: Tensor, after: Tensor) -> Tensor:
    """Eq. 6: the squared distance that each weight moved."""
    return (after - before).square()


def local_contribution(gathered: Tensor, gradient: Tensor, step: Tensor) -> Tensor:
    """Eq. 9, one term: ``gathered - gradient * step`` for the step just taken from where the gradient was measured."""
    return gathered - gradient * step


def combined_contribution(global_part: Tensor, local_part: Tensor) -> Tensor:
    """Eq. 10: each part divided by its sum, added.

    A part whose sum is not positive (a first step that gained or moved nothing) has no ranking that its sum could
    normalise, and is left out.
    """
    combined = torch.zeros_like(global_part)
    for part in (global_part, local_part):
        total = part.sum()
        if total > 0:
            combined = combined + part / total
    return combined


def select_largest(contribution: Tensor, candidates: Tensor, budget: int) -> Tensor:
    """Mask of the ``budget`` candidates with the largest contribution, all of them where there are fewer.

    Args:
        contribution: one value a weight, ``(n,)``.
        candidates: which weights may be chosen, ``(n,)`` bool.
        budget: how many at most.
    """
    ranked = torch.where(candidates, contribution.double(), -torch.inf)
    order = torch.sort(ranked, descending=True, stable=True).indices[: min(budget, int(candidates.sum()))]
    chosen = torch.zeros_like(candidates)
    chosen[order] = True
    return chosen
