"""window_buffer: shadow registers take the lanes of their taps, and move to the array together."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import join, split

CYCLES = 500
TAPS = 9


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def taps_take_their_lanes(dut) -> None:
    """Registers that take keep their lane; a move in the same cycle still carries what was there before."""
    source = random.Random(cocotb.RANDOM_SEED)
    width = int(dut.WordBits.value)
    shadow: list[int | None] = [None] * TAPS
    window = list(shadow)
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        lanes = [source.getrandbits(width) for _ in range(TAPS)]
        take, move = source.getrandbits(TAPS) & source.getrandbits(TAPS), source.random() < 0.3
        dut.lane_i.value, dut.take_i.value, dut.move_i.value = join(lanes, width), take, move
        await ReadOnly()
        for expected, value in zip(window, split(int(dut.window_o.value), width, TAPS), strict=True):
            assert expected is None or value == expected
        if move:
            window = list(shadow)
        shadow = [lanes[tap] if take >> tap & 1 else shadow[tap] for tap in range(TAPS)]
        await RisingEdge(dut.clk_i)
    assert None not in window
