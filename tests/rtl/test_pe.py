"""The bench of pe for both group sizes and both widths of activations, and in the 7-series' primitives."""

from __future__ import annotations

import pytest

from tritforge.rtl import hdl_sources
from tritforge.rtl.synthesis import PRIMITIVES
from tritforge.sim.simulator.runner import run_bench

PARAMETERS = [{"GroupChannels": 16, "ActivationBits": 8}, {"GroupChannels": 8, "ActivationBits": 16}]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_pe(parameters: dict[str, int]):
    run_bench("tritforge.sim.benches.pe", "pe", parameters=parameters, seed=21)


def test_pe_in_primitives():
    sources = [PRIMITIVES, *hdl_sources("pe")]
    run_bench("tritforge.sim.benches.pe", "pe", sources, {"GroupChannels": 8, "ActivationBits": 8}, seed=21)
