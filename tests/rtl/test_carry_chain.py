"""The bench of carry_chain, in its behaviour and in the 7-series' primitives."""

from __future__ import annotations

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.synthesis import PRIMITIVES
from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("primitives", [[], [PRIMITIVES]], ids=["behaviour", "primitives"])
def test_carry_chain(primitives: list):
    sources = [*primitives, *hdl_sources("carry_chain")]
    run_bench("tritforge.sim.benches.carry_chain", "carry_chain", sources, {"Width": 10}, seed=26)
