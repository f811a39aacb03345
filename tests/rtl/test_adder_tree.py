"""The bench of adder_tree for a quad's pairs."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_adder_tree():
    parameters = {"Inputs": 18, "Width": 10}
    run_bench("tritforge.sim.benches.adder_tree", "adder_tree", parameters=parameters, seed=4)
