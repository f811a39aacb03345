"""The bench of fifo, at its smallest and at an ordinary size."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench


@pytest.mark.parametrize("parameters", [{"Width": 1, "Depth": 2}, {"Width": 33, "Depth": 8}], ids=str)
def test_fifo(parameters: dict[str, int]):
    results = run_bench("tritforge.sim.benches.fifo", "fifo", parameters=parameters, seed=7)
    assert len(results.tests) == 10
