"""ram_tdp: both ports against a model, with random enables and writes, in every cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

CYCLES = 1500


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def both_ports_match_the_model(dut) -> None:
    """Reads take two cycles; a read of a word that is being written gives the old one; port A waits without enable."""
    width, depth = len(dut.b_wdata_i), int(dut.Depth.value)
    source = random.Random(cocotb.RANDOM_SEED)
    memory: list[int | None] = [None] * depth
    a_pipe: list[int | None] = [None, None]
    b_pipe: list[int | None] = [None, None]
    Clock(dut.clk_i, 10, "ns").start()
    for cycle in range(CYCLES):
        a_en, b_we = source.random() < 0.7, cycle < depth or source.random() < 0.5
        a_addr, b_addr = source.randrange(depth), cycle if cycle < depth else source.randrange(depth)
        if source.random() < 0.3:
            a_addr = b_addr
        word = source.getrandbits(width)
        dut.a_en_i.value, dut.a_addr_i.value = a_en, a_addr
        dut.b_we_i.value, dut.b_addr_i.value, dut.b_wdata_i.value = b_we, b_addr, word
        await RisingEdge(dut.clk_i)
        for port, pipe in ((dut.a_rdata_o, a_pipe), (dut.b_rdata_o, b_pipe)):
            assert pipe[1] is None or int(port.value) == pipe[1], f"cycle {cycle}: {port._name}"
        if a_en:
            a_pipe = [memory[a_addr], a_pipe[0]]
        b_pipe = [memory[b_addr], b_pipe[0]]
        if b_we:
            memory[b_addr] = word
