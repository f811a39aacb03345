"""The bench of staging_commit."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_staging_commit():
    run_bench("tritforge.sim.benches.staging_commit", "staging_commit", parameters={"Staging": 64}, seed=11)
