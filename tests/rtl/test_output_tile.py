"""The bench of output_tile for a tile of two rows."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_output_tile():
    parameters = {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8}
    run_bench("tritforge.sim.benches.output_tile", "output_tile", parameters=parameters, seed=18)
