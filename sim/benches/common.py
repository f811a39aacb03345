"""What every bench needs: clock and reset, and the pause patterns of stream tests."""

from __future__ import annotations

import random
from collections.abc import Iterator

from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

PAUSES = ("none", "idle", "bursts")
"""Patterns of a side of a stream: always active; active at random; long stretches of either."""


def pause(pattern: str, source: random.Random) -> Iterator[bool]:
    """Whether the side of a stream is active, cycle by cycle."""
    while True:
        if pattern == "none":
            yield True
        elif pattern == "idle":
            yield source.random() < 0.4
        else:
            active = source.random() < 0.5
            yield from [active] * source.randint(1, 40)


async def start(dut, clock: bool = True, cycles: int = 3) -> None:
    """Reset, and start the clock (10 ns) under it; returns just after a rising edge, with the reset released.

    Registers and the clock itself begin with any value: the reset is there before what may look like an edge.
    """
    dut.rst_i.set(Immediate(1))
    if clock:
        Clock(dut.clk_i, 10, "ns").start()
    await ClockCycles(dut.clk_i, cycles)
    dut.rst_i.value = 0


async def reset_again(dut, *inputs: str) -> None:
    """One cycle of reset under whatever goes on, with these inputs (named without ``_i``) at 0 from then on."""
    for name in inputs:
        getattr(dut, f"{name}_i").value = 0
    dut.rst_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.rst_i.value = 0


async def settle(dut) -> None:
    """Wait for the middle of the cycle, where outputs have settled and inputs may still be changed."""
    await FallingEdge(dut.clk_i)
