"""The bench of counters."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_counters():
    run_bench("tritforge.sim.benches.counters", "counters", parameters={}, seed=11)
