"""accelerator: functions that take an :class:`~tritforge.device.accelerator.Accelerator`, run on the simulated one.

The environment variable TRITFORGE_SCENARIOS holds JSON: ``module`` and ``names`` of the functions, the ``seed`` of
their random numbers, the ``parameters`` of the build. Before each of them comes a soft reset.
"""

from __future__ import annotations

import json
import logging
import os
from importlib import import_module

import cocotb
import numpy as np
from cocotb.task import bridge

from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.benches.common import start
from tritforge.sim.host.accelerator import simulated_accelerator


@cocotb.test()
async def run_scenarios(dut) -> None:
    """Every function, in order; one that raises fails the bench."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    job = json.loads(os.environ["TRITFORGE_SCENARIOS"])
    module = import_module(job["module"])
    accelerator = simulated_accelerator(dut, AcceleratorParameters(**job["parameters"]))
    await start(dut)
    for name in job["names"]:
        await bridge(accelerator.reset)()
        await bridge(getattr(module, name))(accelerator, np.random.default_rng(job["seed"]))
