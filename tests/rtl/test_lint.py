"""Every module passes Verilator's lint with all warnings on, and a fault is noticed."""

from __future__ import annotations

import pytest

from tritforge.rtl import hdl_sources
from tritforge.sim.simulator import verilator

MODULES = [path.stem for path in hdl_sources() if path.parent.name != "generated"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_passes_lint(module: str):
    verilator.lint(module)


def test_a_width_mismatch_is_noticed():
    with pytest.raises(verilator.SimulationError, match="fifo does not pass lint"):
        verilator.lint("fifo", {"Depth": 1})
