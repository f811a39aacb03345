"""accumulator_half: additions with a carry in and out, and a quad of channels read in the same cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import split

CYCLES = 2000


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_and_carries_match_the_model(dut) -> None:
    """First additions overwrite; the carry is that of this cycle's sum; a read shows the sums before it."""
    source = random.Random(cocotb.RANDOM_SEED)
    width, ring = int(dut.Width.value), 1 << int(dut.RingBits.value)
    lanes = len(dut.quad_o) // width
    sums: dict[int, int] = {}
    compared = 0
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        address, partial, carry = source.randrange(ring), source.getrandbits(width), source.getrandbits(1)
        quad = address // lanes if source.random() < 0.5 else source.randrange(ring // lanes)
        valid, first = source.random() < 0.8, address not in sums or source.random() < 0.2
        dut.valid_i.value, dut.lane_i.value, dut.first_i.value = valid, valid << address % lanes, first
        dut.addr_i.value, dut.partial_i.value, dut.carry_i.value = address, partial, carry
        dut.read_quad_i.value = quad
        await ReadOnly()
        for lane, value in enumerate(split(int(dut.quad_o.value), width, lanes)):
            if lanes * quad + lane in sums:
                assert value == sums[lanes * quad + lane]
                compared += 1
        after = partial + carry + (0 if first else sums[address])
        assert dut.carry_o.value == after >> width
        if valid:
            sums[address] = after % (1 << width)
        await RisingEdge(dut.clk_i)
    assert compared > CYCLES
