"""The bench of window_loader for tiles of two, four and one rows."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(
    "parameters",
    [
        {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8},
        {"Pes": 32, "GroupChannels": 8, "ActivationBits": 8},
        {"Pes": 4, "GroupChannels": 8, "ActivationBits": 16},
    ],
    ids=str,
)
def test_window_loader(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.window_loader", "window_loader", parameters=parameters, seed=12)
