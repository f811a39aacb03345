"""The bench of drain: a small one, whose parts have benches at full size."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_drain():
    parameters = {"Pes": 4, "GroupChannels": 8, "ActivationBits": 8, "PassOutputs": 32, "PoolChannels": 128}
    run_bench("tritforge.sim.benches.drain", "drain", parameters=parameters, seed=23)
