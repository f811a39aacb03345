"""The bench of bitmap_scanner for four words a pass, and for eight of half the size."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("channels", [16, 8])
def test_bitmap_scanner(channels: int):
    parameters = {"GroupChannels": channels, "PassOutputs": 64}
    run_bench("tritforge.sim.benches.bitmap_scanner", "bitmap_scanner", parameters=parameters, seed=channels)
