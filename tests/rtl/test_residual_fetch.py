"""The bench of residual_fetch for a tile of two rows, and for one of a single row."""

from __future__ import annotations

import pytest

from tritforge.sim.runner import run_bench


@pytest.mark.parametrize(
    "parameters",
    [
        {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8, "PassOutputs": 64},
        {"Pes": 4, "GroupChannels": 16, "ActivationBits": 8, "PassOutputs": 32},
    ],
    ids=str,
)
def test_residual_fetch(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.residual_fetch", "residual_fetch", parameters=parameters, seed=14)
