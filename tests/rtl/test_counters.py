"""The bench of counters."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_counters():
    """Lower halves so short that their carries are met."""
    run_bench("tritforge.sim.benches.counters", "counters", parameters={"LowBits": 6}, seed=11)
