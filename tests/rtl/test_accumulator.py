"""The bench of accumulator for both widths of sums."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("bits", [8, 16])
def test_accumulator(bits: int):
    parameters = {"ActivationBits": bits, "PassOutputs": 32}
    run_bench("tritforge.sim.benches.accumulator", "accumulator", parameters=parameters, seed=6)
