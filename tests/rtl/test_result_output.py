"""The bench of result_output."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_result_output():
    run_bench("tritforge.sim.benches.result_output", "result_output", parameters={"PassOutputs": 32}, seed=5)
