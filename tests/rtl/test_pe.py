"""The bench of pe for both group sizes and both widths of activations."""

from __future__ import annotations

import pytest

from tritforge.sim.runner import run_bench


@pytest.mark.parametrize(
    "parameters",
    [{"GroupChannels": 16, "ActivationBits": 8}, {"GroupChannels": 8, "ActivationBits": 16}],
    ids=str,
)
def test_pe(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.pe", "pe", parameters=parameters, seed=21)
