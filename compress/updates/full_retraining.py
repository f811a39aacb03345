"""The full update that a partial one is measured against: everything a patch could carry is free.

Latent weights, thresholds and scales of the ternary layers, batch norms and the classifier's bias (the affine entries)
train on from the deployed state. Activation scales and multi-bit weights stay as they are and groups that are not
stored stay empty, so that the result has the deployed network's memory layout.
"""

from __future__ import annotations

from collections.abc import Generator

from tritforge.compress.updates.budget import Budget, Unit
from tritforge.compress.updates.policy import Deployed, Facts, Span, UpdateSettings
from tritforge.compress.updates.positions import Positions


class FullRetraining:
    """Full retraining. The learning rate is what :mod:`tritforge.compress.studies.select_update_rate` chose."""

    settings = UpdateSettings(learning_rate=0.02)
    trainings = 1
    units: tuple[Unit, ...] = ()

    def spans(self, deployed: Deployed, budget: Budget | None) -> Generator[Span, Facts, None]:
        """Train everything once, from latent weights of zero outside the stored groups: thresholds move too."""
        stored = {name: deployed.weights[layer] * deployed.trits.masks[layer] for layer, name in deployed.names.items()}
        everything = Positions.everything(deployed.network)
        yield Span(everything, range(deployed.steps), base={**deployed.state, **stored}, pinned=False)
