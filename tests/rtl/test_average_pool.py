"""The bench of average_pool for the smallest and the largest tree, and both widths of activations."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(("pes", "bits"), [(4, 8), (32, 16)])
def test_average_pool(pes: int, bits: int):
    parameters = {"Pes": pes, "ActivationBits": bits, "PoolChannels": 64}
    run_bench("tritforge.sim.benches.average_pool", "average_pool", parameters=parameters, seed=17)
