"""The bench of window_buffer."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_window_buffer():
    run_bench("tritforge.sim.benches.window_buffer", "window_buffer", parameters={"WordBits": 32}, seed=8)
