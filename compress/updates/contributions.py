"""How much each weight contributed to a lower loss: what deep partial updating selects by (DPU, Sec. 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from tritforge.compress.engine.method import Gradients, Method, Run, weight_names


def global_contribution(before: Tensor, after: Tensor) -> Tensor:
    """Eq. 6: the squared distance that each weight moved."""
    return (after - before).square()


def local_contribution(gathered: Tensor, gradient: Tensor, step: Tensor) -> Tensor:
    """Eq. 9, one term: ``gathered - gradient * step`` for the step just taken from where the gradient was measured."""
    return gathered - gradient * step


class LocalContributions(Method):
    """Gathers eq. 9 over the steps of a training.

    Attributes:
        gathered: by ternary layer, how much each weight's steps lowered the loss, ``(N, C, K, K)``.
    """

    gathered: dict[str, Tensor]

    def begin(self, run: Run) -> None:
        """Start from nothing."""
        self._model, self._names = run.model, weight_names(run.model)
        self.gathered = {name: torch.zeros_like(value) for name, value in self._weights().items()}

    def edit(self, gradients: Gradients) -> Gradients:
        """Keep the gradients, and where they were measured."""
        self._gradients = gradients
        self._before = {name: value.clone() for name, value in self._weights().items()}
        return gradients

    def after_step(self, done: int) -> None:
        """Add what the step contributed."""
        for name, value in self._weights().items():
            gradient = self._gradients.get(self._names[name])
            if gradient is not None:
                self.gathered[name] = local_contribution(self.gathered[name], gradient, value - self._before[name])

    def _weights(self) -> dict[str, Tensor]:
        return {name: layer.weight.detach() for name, layer in self._model.ternary_layers().items()}


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


def best_first(contribution: Tensor, candidates: Tensor) -> Tensor:
    """Indices of the candidates, the largest contribution first; of equal ones the lowest index.

    Args:
        contribution: one value a weight, ``(n,)``.
        candidates: which weights may be chosen, ``(n,)`` bool.
    """
    ranked = torch.where(candidates, contribution.double(), -torch.inf)
    return torch.sort(ranked, descending=True, stable=True).indices[: int(candidates.sum())]
