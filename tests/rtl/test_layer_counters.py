"""The bench of layer_counters."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_layer_counters():
    run_bench("tritforge.sim.benches.layer_counters", "layer_counters", parameters={"Layers": 16}, seed=16)
