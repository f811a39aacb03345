"""The bench of window_buffer for a pixel in the last row of a tile, whose windows reach into the next chunks."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_window_buffer():
    parameters = {"Pes": 16, "WordBits": 32, "Index": 14}
    run_bench("tritforge.sim.benches.window_buffer", "window_buffer", parameters=parameters, seed=8)
