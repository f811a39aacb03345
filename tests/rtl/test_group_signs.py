"""The bench of group_signs for both group sizes."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("parameters", [{"GroupChannels": 16}, {"GroupChannels": 8, "ActivationBits": 16}], ids=str)
def test_group_signs(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.group_signs", "group_signs", parameters=parameters, seed=23)
