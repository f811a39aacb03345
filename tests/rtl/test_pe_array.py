"""The bench of pe_array: a small array, whose parts have benches at full size."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_pe_array():
    parameters = {"Pes": 4, "GroupChannels": 8, "ActivationBits": 8, "PassOutputs": 32}
    run_bench("tritforge.sim.benches.pe_array", "pe_array", parameters=parameters, seed=22)
