"""The bench of requantiser for both widths of activations."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("bits", [8, 16])
def test_requantiser(bits: int):
    run_bench("tritforge.sim.benches.requantiser", "requantiser", parameters={"ActivationBits": bits}, seed=bits)
