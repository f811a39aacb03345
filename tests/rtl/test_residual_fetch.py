"""The bench of residual_fetch for tiles of one, two and four rows."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(("pes", "channels", "bits"), [(4, 8, 16), (16, 16, 8), (32, 8, 8)])
def test_residual_fetch(pes: int, channels: int, bits: int):
    parameters = {"Pes": pes, "GroupChannels": channels, "ActivationBits": bits}
    run_bench("tritforge.sim.benches.residual_fetch", "residual_fetch", parameters=parameters, seed=14)
