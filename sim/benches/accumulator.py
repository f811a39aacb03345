"""accumulator: random additions to a ring of sums, with a quad of channels read in every cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import signed, split

CYCLES = 2000


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_match_the_model(dut) -> None:
    """First additions overwrite, others add modulo the width; a read shows the sums before this cycle's addition."""
    source = random.Random(cocotb.RANDOM_SEED)
    outputs, lanes = int(dut.PassOutputs.value), len(dut.quad_o) // len(dut.partial_i)
    width = len(dut.partial_i)
    sums: dict[int, int] = {}
    compared = 0
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        partial, quad = source.getrandbits(width), source.randrange(2 * outputs // lanes)
        address = source.randrange(2 * outputs)
        if source.random() < 0.5:
            address = lanes * quad + source.randrange(lanes)  # what is read is written at once
        valid, first = source.random() < 0.8, address not in sums or source.random() < 0.2
        dut.add_valid_i.value, dut.add_addr_i.value, dut.add_first_i.value = valid, address, first
        dut.partial_i.value, dut.read_quad_i.value = signed(partial, width), quad
        await ReadOnly()
        for lane, value in enumerate(split(int(dut.quad_o.value), width, lanes)):
            channel = lanes * quad + lane
            if channel in sums:
                assert signed(value, width) == signed(sums[channel], width)
                compared += 1
        if valid:
            sums[address] = partial if first else sums[address] + partial
        await RisingEdge(dut.clk_i)
    assert compared > CYCLES
