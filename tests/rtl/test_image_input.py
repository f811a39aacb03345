"""The bench of image_input for each tile shape and both word widths."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize(
    "parameters",
    [
        {"Pes": 8, "GroupChannels": 16, "ActivationBits": 16},
        {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8},
        {"Pes": 32, "GroupChannels": 8, "ActivationBits": 8},
    ],
    ids=str,
)
def test_image_input(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.image_input", "image_input", parameters=parameters, seed=parameters["Pes"])
