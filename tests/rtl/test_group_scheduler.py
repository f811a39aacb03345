"""The bench of group_scheduler for both group sizes."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("channels", [16, 8])
def test_group_scheduler(channels: int):
    parameters = {"GroupChannels": channels, "PassOutputs": 64}
    run_bench("tritforge.sim.benches.group_scheduler", "group_scheduler", parameters=parameters, seed=channels)
