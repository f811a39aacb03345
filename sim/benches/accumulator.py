"""accumulator: random additions to a ring of sums, with a pair read in every cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import signed

CYCLES = 2000


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_match_the_model(dut) -> None:
    """First additions overwrite, others add modulo 2**32; a read shows the sums before this cycle's addition."""
    source = random.Random(cocotb.RANDOM_SEED)
    outputs = int(dut.PassOutputs.value)
    sums: dict[int, int] = {}
    compared = 0
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        address, partial, pair = source.randrange(2 * outputs), source.getrandbits(32), source.randrange(outputs)
        if source.random() < 0.5:
            address = 2 * pair + source.randrange(2)  # what is read is written at once
        valid, first = source.random() < 0.8, address not in sums or source.random() < 0.2
        dut.add_valid_i.value, dut.add_addr_i.value, dut.add_first_i.value = valid, address, first
        dut.partial_i.value, dut.read_pair_i.value = signed(partial, 32), pair
        await ReadOnly()
        for channel, port in ((2 * pair, dut.even_o), (2 * pair + 1, dut.odd_o)):
            if channel in sums:
                assert signed(int(port.value), 32) == signed(sums[channel], 32)
                compared += 1
        if valid:
            sums[address] = partial if first else sums[address] + partial
        await RisingEdge(dut.clk_i)
    assert compared > CYCLES
