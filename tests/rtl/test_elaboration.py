"""Parameters that a module cannot have stop the simulation with the module's message."""

from __future__ import annotations

import pytest

from tritforge.sim.simulator.runner import run_bench
from tritforge.sim.simulator.verilator import SimulationError


@pytest.mark.parametrize(
    ("module", "parameters", "message"),
    [
        ("fifo", {"Width": 4, "Depth": 6}, "fifo: Depth 6 is no power of two"),
        ("ram_tdp", {"Width": 4, "Depth": 48}, "ram_tdp: Depth 48 is no power of two"),
        ("pe", {"GroupChannels": 12}, "pe: GroupChannels is 12; allowed are 8 and 16"),
        ("compute_core", {"GroupChannels": 8, "Pes": 5}, "compute_core: Pes is 5; allowed are 4, 8, 16 and 32"),
        (
            "compute_core",
            {"GroupChannels": 8, "Pes": 4, "PassOutputs": 48},
            "compute_core: PassOutputs is 48; allowed are 32, 64 and 128",
        ),
    ],
    ids=str,
)
def test_bad_parameters_are_refused(module: str, parameters: dict[str, int], message: str):
    with pytest.raises(SimulationError, match=message):
        run_bench("tritforge.sim.benches.idle", module, parameters=parameters)
