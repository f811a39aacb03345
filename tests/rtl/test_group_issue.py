"""The bench of group_issue."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_group_issue():
    parameters = {"GroupChannels": 16, "PassOutputs": 64}
    run_bench("tritforge.sim.benches.group_issue", "group_issue", parameters=parameters, seed=10)
