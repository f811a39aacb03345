"""The bench of sequencer, with sequence numbers that carry over every four images."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_sequencer():
    run_bench("tritforge.sim.benches.sequencer", "sequencer", parameters={"LowBits": 2}, seed=19)
