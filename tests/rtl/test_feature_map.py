"""The bench of feature_map for a tile of two rows."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_feature_map():
    parameters = {"Pes": 16, "WordBits": 16, "FeatureWords": 16}
    run_bench("tritforge.sim.benches.feature_map", "feature_map", parameters=parameters, seed=15)
