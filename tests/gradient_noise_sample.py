"""A training method of one file: noise on every gradient, less and less of it.

Neelakantan et al., "Adding gradient noise improves learning for very deep networks" (2015), equation 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tritforge.compress.engine.method import Gradients, Method, Run
from tritforge.compress.methods.settings import Settings
from tritforge.compress.run.keys import key


@dataclass(frozen=True)
class GradientNoiseSettings(Settings):
    """Variance at step 0, 0 for none, the power of the step that it is divided by, and the seed of the noise."""

    table = "gradient_noise"

    variance: float = key(0.0, at_least=0)
    power: float = key(0.55, at_least=0)
    seed: int = key(0, at_least=0)

    def method(self) -> GradientNoise | None:
        return GradientNoise(self) if self.variance > 0 else None


class GradientNoise(Method):
    """Normal noise from a generator of its own."""

    def __init__(self, settings: GradientNoiseSettings) -> None:
        self.settings = settings

    def begin(self, run: Run) -> None:
        self._step = 0
        self._generator = torch.Generator().manual_seed(self.settings.seed)

    def edit(self, gradients: Gradients) -> Gradients:
        deviation = (self.settings.variance / (1 + self._step) ** self.settings.power) ** 0.5
        return {name: one + deviation * self._normal(one) for name, one in gradients.items()}

    def after_step(self, done: int) -> None:
        self._step = done

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "generator": self._generator.get_state()}

    def load(self, state: Mapping[str, Any]) -> None:
        self._step = state["step"]
        self._generator.set_state(state["generator"])

    def _normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self._generator).to(like.device)
