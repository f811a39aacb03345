"""The bench of output_tile for tiles of one, two and four rows."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(("pes", "channels", "bits"), [(4, 8, 16), (16, 16, 8), (32, 8, 8)])
def test_output_tile(pes: int, channels: int, bits: int):
    parameters = {"Pes": pes, "GroupChannels": channels, "ActivationBits": bits}
    run_bench("tritforge.sim.benches.output_tile", "output_tile", parameters=parameters, seed=18)
