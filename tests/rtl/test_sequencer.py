"""The bench of sequencer."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_sequencer():
    run_bench("tritforge.sim.benches.sequencer", "sequencer", seed=19)
