"""Weight penalty clipping: group lasso that leaves groups above a self-adapting threshold alone.

``sum over layers l and groups i of min(||W_li||_2, delta_l)`` with ``delta_l = a * mean_i ||W_li||_2`` (dissertation
eq. 2.6 and 2.7), over latent weights. ``delta_l`` is a constant of the backward pass; ``a = inf`` never clips and is
the naive combination of eq. 2.5. Groups are the PE groups of :mod:`tritforge.network.pe_groups`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tritforge.compress.engine.method import Method, Run, Step
from tritforge.compress.methods.group_sparsity import group_norms, prune_groups
from tritforge.compress.methods.settings import Settings
from tritforge.compress.run.keys import key


@dataclass(frozen=True)
class WeightPenaltyClippingSettings(Settings):
    """The recipe's choice of the penalty.

    Attributes:
        penalty: lambda; 0 for none.
        clipping: ``a`` of eq. 2.7.
    """

    table = "weight_penalty_clipping"

    penalty: float = key(0.0, at_least=0)
    clipping: float = key(math.inf, at_least=0, infinite=True)

    @property
    def prunes(self) -> bool:
        return self.penalty > 0

    def method(self) -> WeightPenaltyClipping | None:
        return WeightPenaltyClipping(self) if self.penalty > 0 else None

    def name_parts(self) -> list[str]:
        if self.penalty == 0:
            return []
        clipped = [f"c{self.clipping:g}"] if math.isfinite(self.clipping) else []
        return [f"l{_scientific(self.penalty)}", *clipped]

    def setting(self) -> dict[str, Any]:
        return {"penalty": self.penalty, "clipping": self.clipping if math.isfinite(self.clipping) else None}


class Steering(Method):
    """A method that says how hard the penalty pulls.

    Attributes:
        factors: by grouped layer, what its part of the penalty is multiplied with.
    """

    factors: dict[str, float]

    @property
    def strength(self) -> float:
        """What the penalty counts with now, instead of lambda."""
        raise NotImplementedError


class WeightPenaltyClipping(Method):
    """The penalty on all grouped layers; in full precision, what it brought below the threshold is zero at the end."""

    def __init__(self, settings: WeightPenaltyClippingSettings) -> None:
        self.settings = settings

    def begin(self, run: Run) -> None:
        self._model, self._group_channels = run.model, run.group_channels
        self._steering = run.other(Steering)

    def penalty(self, step: Step) -> Tensor:
        layers = self._model.ternary_layers()
        weights = [layer.weight for layer in layers.values()]
        strength, factors = self.settings.penalty, None
        if self._steering is not None:
            strength, factors = self._steering.strength, [self._steering.factors[name] for name in layers]
        return strength * weight_penalty(weights, self.settings.clipping, self._group_channels, factors)

    def finish(self) -> None:
        if self._model.precision == "float":
            prune_groups(self._model, self._group_channels)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        if math.isinf(self.settings.clipping):
            return {}
        thresholds = {}
        for name, layer in self._model.ternary_layers().items():
            norms = group_norms(layer.weight, self._group_channels)
            thresholds[f"delta.{name}"] = float(clipping_threshold(norms, self.settings.clipping))
        return thresholds


def clipping_threshold(norms: Tensor, coefficient: float) -> Tensor:
    """``delta_l`` of eq. 2.7 from a layer's group norms, detached."""
    return coefficient * norms.detach().mean()


def weight_penalty(
    layers: Sequence[Tensor], coefficient: float, group_channels: int, factors: Sequence[float] | None = None
) -> Tensor:
    """The penalty of eq. 2.6 without its factor lambda: a scalar, summed over the groups of all layers.

    Args:
        layers: latent weights ``(N, C, K, K)`` of the grouped layers.
        coefficient: ``a`` of eq. 2.7; ``inf`` clips nothing.
        group_channels: ``C_g``.
        factors: of each layer's sum; 1 by default.
    """
    total = torch.zeros(())
    for index, weights in enumerate(layers):
        norms = group_norms(weights, group_channels)
        clipped = norms if coefficient == float("inf") else norms.minimum(clipping_threshold(norms, coefficient))
        summed = clipped.sum() if factors is None else factors[index] * clipped.sum()
        total = total.to(clipped.device) + summed
    return total


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
