"""The bench of host_interface."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench

PARAMETERS = {
    "Pes": 4,
    "GroupChannels": 8,
    "ActivationBits": 16,
    "PassOutputs": 32,
    "Slots": 16,
    "BitmapWords": 32,
    "AffineChannels": 16,
    "Descriptors": 16,
    "FeatureWords": 256,
    "Staging": 64,
}


def test_host_interface():
    run_bench("tritforge.sim.benches.host_interface", "host_interface", parameters=PARAMETERS, seed=9)
