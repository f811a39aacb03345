"""The bench of average_pool."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_average_pool():
    parameters = {"Pes": 16, "ActivationBits": 8, "PoolChannels": 16}
    run_bench("tritforge.sim.benches.average_pool", "average_pool", parameters=parameters, seed=17)
