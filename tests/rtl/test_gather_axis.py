"""The bench of gather_axis for one row and for eight columns."""

from __future__ import annotations

import pytest

from tritforge.sim.runner import run_bench


@pytest.mark.parametrize("size", [1, 8])
def test_gather_axis(size: int):
    run_bench("tritforge.sim.benches.gather_axis", "gather_axis", parameters={"Size": size})
