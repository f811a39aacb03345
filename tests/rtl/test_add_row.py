"""The bench of add_row, in its behaviour and in the 7-series' primitives."""

from __future__ import annotations

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.synthesis import PRIMITIVES
from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("primitives", [[], [PRIMITIVES]], ids=["behaviour", "primitives"])
def test_add_row(primitives: list):
    sources = [*primitives, *hdl_sources("add_row")]
    run_bench("tritforge.sim.benches.add_row", "add_row", sources, {"Width": 9}, seed=27)
