"""The simulated accelerator does what every accelerator does: the tests of the reference device, on the hardware."""

from __future__ import annotations

import pytest
from accelerator_scenarios import PARAMETERS, SCENARIOS

from tritforge.sim.runs.scenarios import run_scenarios


def test_the_simulated_accelerator() -> None:
    run_scenarios(SCENARIOS, PARAMETERS, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_the_simulated_accelerator_with_other_seeds(seed: int) -> None:
    run_scenarios(SCENARIOS, PARAMETERS, seed)
