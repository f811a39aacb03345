"""The bench of axil_port."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_axil_port():
    run_bench("tritforge.sim.benches.axil_port", "axil_port", parameters={"AddrBits": 12}, seed=23)
