"""Runs functions that take an accelerator on the simulated one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tritforge.device.accelerator import Accelerator
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.runs.accelerator import accelerator_sources
from tritforge.sim.simulator.runner import run_bench

Scenario = Callable[[Accelerator, np.random.Generator], Any]


def run_scenarios(scenarios: Sequence[Scenario], parameters: AcceleratorParameters, seed: int = 1) -> None:
    """Run functions of one module, each after a soft reset, with random numbers of ``seed``.

    Raises:
        SimulationError: the build failed, or one of them raised.
    """
    job = {
        "module": scenarios[0].__module__,
        "names": [scenario.__name__ for scenario in scenarios],
        "seed": seed,
        "parameters": asdict(parameters),
    }
    run_bench(
        "tritforge.sim.benches.scenarios",
        "accelerator",
        sources=accelerator_sources(),
        parameters=parameters.verilog_parameters(),
        env={"TRITFORGE_SCENARIOS": json.dumps(job)},
        seed=seed,
    )
