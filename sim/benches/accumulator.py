"""accumulator: random additions to a ring of sums, with a quad of channels read in every cycle."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import signed, split

CYCLES = 2000
LATENCY = 3
"""Cycles from an addition's announcement to the whole sum's being there."""


@dataclass(frozen=True)
class Addition:
    """What is added to which sum; ``valid`` when it is at all."""

    valid: bool
    address: int
    first: bool
    partial: int


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_match_the_model(dut) -> None:
    """First additions overwrite, others add modulo the width, every cycle to any sum, the same one again too."""
    source = random.Random(cocotb.RANDOM_SEED)
    width = len(dut.partial_i)
    outputs, lanes = int(dut.PassOutputs.value), len(dut.quad_o) // width
    sums: dict[int, int] = {}
    begun: set[int] = set()
    compared = quad = 0
    way: deque[Addition] = deque([Addition(False, 0, False, 0)] * LATENCY)  # oldest first
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        read, quad = quad, source.randrange(2 * outputs // lanes)
        address = source.choice((source.randrange(2 * outputs), way[-1].address, lanes * quad))
        valid, first = source.random() < 0.8, address not in begun or source.random() < 0.2
        begun |= {address} if valid else set()
        partial = source.choice((source.getrandbits(width), (1 << width // 2) - 1, 1))
        dut.add_valid_i.value, dut.add_addr_i.value, dut.add_first_i.value = valid, address, first
        dut.add_lane_i.value = valid << address % lanes
        dut.partial_i.value, dut.read_quad_i.value = signed(way[-1].partial, width), quad
        await ReadOnly()
        under_way = {addition.address for addition in way if addition.valid}
        for lane, value in enumerate(split(int(dut.quad_o.value), width, lanes)):
            channel = lanes * read + lane
            if channel in sums and channel not in under_way:
                assert signed(value, width) == signed(sums[channel], width)
                compared += 1
        way.append(Addition(valid, address, first, partial))
        done = way.popleft()
        if done.valid:
            sums[done.address] = done.partial + (0 if done.first else sums[done.address])
        await RisingEdge(dut.clk_i)
    assert compared > CYCLES
