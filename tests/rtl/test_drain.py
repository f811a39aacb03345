"""The bench of drain: small ones, whose parts have benches at full size."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(("pes", "channels", "bits"), [(4, 8, 8), (8, 16, 8), (4, 8, 16)])
def test_drain(pes: int, channels: int, bits: int):
    parameters = {"Pes": pes, "GroupChannels": channels, "ActivationBits": bits, "PassOutputs": 32}
    run_bench("tritforge.sim.benches.drain", "drain", parameters={**parameters, "PoolChannels": 128}, seed=23)
