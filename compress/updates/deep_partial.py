"""Deep partial updating of a deployed ternary network: which few trits to send (DPU Alg. 1, one round).

The first training moves all latent weights inside stored groups and gathers each one's contribution (eq. 6 and 9).
Candidates are the trits that now differ; the budget picks among them by eq. 10. Everything else is rewound to the
deployed trit and constant, and the second training moves the picked positions alone.
"""

from __future__ import annotations

from collections.abc import Generator

from tritforge.compress.updates.budget import UNITS, Budget
from tritforge.compress.updates.contributions import LocalContributions, combined_contribution, global_contribution
from tritforge.compress.updates.policy import Deployed, Facts, Span, UpdateSettings
from tritforge.compress.updates.positions import Positions


class DeepPartial:
    """DPU. The learning rate is what :mod:`tritforge.compress.studies.select_update_rate` chose."""

    settings = UpdateSettings(learning_rate=5e-4)
    trainings = 2
    units = UNITS

    def spans(self, deployed: Deployed, budget: Budget | None) -> Generator[Span, Facts, None]:
        """Train all, pick by contribution, rewind the rest and train what was picked."""
        assert budget is not None
        trits, training = deployed.trits, range(deployed.steps)
        contributions = LocalContributions()
        facts = yield Span(Positions(trits.masks), training, methods={"contributions": contributions})
        moved = {name: global_contribution(before, facts.weights[name]) for name, before in deployed.weights.items()}
        contribution = combined_contribution(trits.row(moved), trits.row(contributions.gathered))
        picked = budget.choose(contribution, trits.row(facts.differs), trits)
        yield Span(Positions(trits.by_layer(picked)), training, base=deployed.state)
