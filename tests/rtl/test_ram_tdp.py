"""The bench of ram_tdp."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_ram_tdp():
    run_bench("tritforge.sim.benches.ram_tdp", "ram_tdp", parameters={"Width": 36, "Depth": 64}, seed=11)
