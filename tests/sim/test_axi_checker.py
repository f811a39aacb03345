"""The checker of the accelerator's ports notices every breach, and nothing else."""

from __future__ import annotations

import re

from tritforge.sim.benches.axi_checker import VIOLATIONS
from tritforge.sim.runs.accelerator import CHECKER
from tritforge.sim.simulator.runner import run_bench


def test_every_rule_is_noticed_when_it_is_broken_and_only_then() -> None:
    results = run_bench(
        "tritforge.sim.benches.axi_checker",
        "axi_checker",
        sources=CHECKER,
        plusargs=["+verilator+error+limit+1000"],
        seed=5,
    )
    assert tuple(re.findall(r".*axi_checker: (.+)$", results.log, re.MULTILINE)) == VIOLATIONS
