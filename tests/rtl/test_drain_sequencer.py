"""The bench of drain_sequencer for blocks of two and of four quads, and for tiles of one, two and four rows."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(("pes", "channels", "outputs"), [(4, 8, 32), (16, 16, 64), (32, 16, 32), (8, 8, 128)])
def test_drain_sequencer(pes: int, channels: int, outputs: int):
    parameters = {"Pes": pes, "GroupChannels": channels, "PassOutputs": outputs}
    run_bench("tritforge.sim.benches.drain_sequencer", "drain_sequencer", parameters=parameters, seed=20)
