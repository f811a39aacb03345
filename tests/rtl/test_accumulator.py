"""The bench of accumulator."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_accumulator():
    run_bench("tritforge.sim.benches.accumulator", "accumulator", parameters={"PassOutputs": 32}, seed=6)
