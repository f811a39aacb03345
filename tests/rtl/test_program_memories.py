"""The bench of program_memories."""

from __future__ import annotations

from tritforge.sim.simulator.runner import run_bench


def test_program_memories():
    run_bench(
        "tritforge.sim.benches.program_memories",
        "program_memories",
        parameters={"GroupChannels": 8, "Slots": 16, "BitmapWords": 32, "AffineChannels": 16, "Descriptors": 16},
        seed=11,
    )
