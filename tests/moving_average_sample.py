"""A training method of one file: the network is the moving average of what training went through.

Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992), in its exponential form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tritforge.compress.engine.method import Method, Run
from tritforge.compress.methods.settings import Settings
from tritforge.compress.run.keys import key


@dataclass(frozen=True)
class MovingAverageSettings(Settings):
    """How slowly the average follows; 0 for none."""

    table = "moving_average"

    decay: float = key(0.0, at_least=0, below=1)

    def method(self) -> MovingAverage | None:
        return MovingAverage(self) if self.decay > 0 else None

    def name_parts(self) -> list[str]:
        return [f"ma{self.decay:g}"] if self.decay > 0 else []

    def setting(self) -> dict[str, Any]:
        return {"moving_average": self.decay} if self.decay > 0 else {}


class MovingAverage(Method):
    """The average of all parameters, which takes their place after the last step."""

    def __init__(self, settings: MovingAverageSettings) -> None:
        self.settings = settings

    def begin(self, run: Run) -> None:
        self._parameters = dict(run.model.named_parameters())
        self.averages = {name: one.detach().clone() for name, one in self._parameters.items()}

    @torch.no_grad()
    def after_step(self, done: int) -> None:
        for name, average in self.averages.items():
            average.lerp_(self._parameters[name], 1 - self.settings.decay)

    @torch.no_grad()
    def finish(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(self.averages[name])

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        return {"average_distance": self._distance()}

    def state(self) -> dict[str, Any]:
        return {"averages": self.averages}

    def load(self, state: Mapping[str, Any]) -> None:
        self.averages = {name: average.clone() for name, average in state["averages"].items()}

    def summary(self) -> dict[str, Any]:
        return {"averaged_parameters": sum(average.numel() for average in self.averages.values())}

    def _distance(self) -> float:
        parts = ((self.averages[name] - one).square().sum() for name, one in self._parameters.items())
        return float(torch.stack(list(parts)).sum().sqrt())
