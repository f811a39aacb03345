"""The reference device does what every accelerator does."""

from __future__ import annotations

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS, SCENARIOS

from tritforge.device.reference_device import reference_accelerator


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_reference_device(scenario, seed: int) -> None:
    accelerator = reference_accelerator(PARAMETERS, seed)
    accelerator.reset()
    scenario(accelerator, np.random.default_rng(seed))
