"""The bench of drain_sequencer."""

from __future__ import annotations

from tritforge.sim.runner import run_bench


def test_drain_sequencer():
    parameters = {"Pes": 16, "GroupChannels": 16, "PassOutputs": 64}
    run_bench("tritforge.sim.benches.drain_sequencer", "drain_sequencer", parameters=parameters, seed=20)
