"""The bench of program_state."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_program_state():
    run_bench("tritforge.sim.benches.program_state", "program_state", parameters={"Staging": 64}, seed=3)
