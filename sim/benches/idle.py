"""Any module: nothing is driven; for what a module checks by itself when a simulation begins."""

from __future__ import annotations

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def nothing_happens(dut) -> None:
    """A moment passes."""
    await Timer(1, "ns")
