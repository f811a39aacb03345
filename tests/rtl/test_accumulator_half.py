"""The bench of accumulator_half, in its behaviour and in the 7-series' primitives."""

from __future__ import annotations

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.synthesis import PRIMITIVES
from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("primitives", [[], [PRIMITIVES]], ids=["behaviour", "primitives"])
def test_accumulator_half(primitives: list):
    sources = [*primitives, *hdl_sources("accumulator_half")]
    parameters = {"Width": 7, "RingBits": 6}
    run_bench("tritforge.sim.benches.accumulator_half", "accumulator_half", sources, parameters, seed=25)
