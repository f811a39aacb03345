"""A policy in one file: trits at random positions, the baseline that deep partial updating is measured against."""

from __future__ import annotations

from collections.abc import Generator

import torch

from tritforge.compress.updates.budget import UNITS, Budget
from tritforge.compress.updates.policy import Deployed, Facts, Span, UpdateSettings
from tritforge.compress.updates.positions import Positions


class RandomPositions:
    """RPU: as many stored trits as the budget takes, drawn at random, train from the start."""

    settings = UpdateSettings(learning_rate=5e-3)
    trainings = 1
    units = UNITS

    def spans(self, deployed: Deployed, budget: Budget | None) -> Generator[Span, Facts, None]:
        """Draw, and train what was drawn."""
        assert budget is not None
        trits = deployed.trits
        drawn = torch.rand(len(trits), generator=torch.Generator().manual_seed(deployed.settings.seed))
        chosen = budget.choose(drawn, torch.ones(len(trits), dtype=torch.bool), trits)
        yield Span(Positions(trits.by_layer(chosen)), range(deployed.steps))
