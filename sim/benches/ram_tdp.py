"""ram_tdp: both ports against a model, with random enables and writes, in every cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

CYCLES = 2000


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def both_ports_match_the_model(dut) -> None:
    """Reads take two cycles; a port that writes or is not enabled keeps its word; port A's output waits with it.

    What a port reads of a word that the other one writes is not compared.
    """
    width, depth = len(dut.b_wdata_i), int(dut.Depth.value)
    source = random.Random(cocotb.RANDOM_SEED)
    memory: list[int | None] = [None] * depth
    register: dict[str, int | None] = {"a": None, "b": None}
    output: dict[str, int | None] = {"a": None, "b": None}
    compared = {"a": 0, "b": 0}
    Clock(dut.clk_i, 10, "ns").start()
    for cycle in range(CYCLES):
        enable = {port: source.random() < 0.7 for port in "ab"}
        write = {"a": source.random() < 0.3, "b": cycle < depth or source.random() < 0.3}
        address = {"a": source.randrange(depth), "b": cycle if cycle < depth else source.randrange(depth)}
        if source.random() < 0.3 and not (write["a"] and write["b"]):
            address["a"] = address["b"]
        write["a"] &= not (write["b"] and address["a"] == address["b"])
        word = {port: source.getrandbits(width) for port in "ab"}
        for port in "ab":
            getattr(dut, f"{port}_en_i").value, getattr(dut, f"{port}_we_i").value = enable[port], write[port]
            getattr(dut, f"{port}_addr_i").value, getattr(dut, f"{port}_wdata_i").value = address[port], word[port]
        await RisingEdge(dut.clk_i)
        for port, other in ("ab", "ba"):
            if output[port] is not None:
                assert int(getattr(dut, f"{port}_rdata_o").value) == output[port], f"cycle {cycle}: port {port}"
                compared[port] += 1
            if enable[port] or port == "b":
                output[port] = register[port]
            if enable[port] and not write[port]:
                collides = write[other] and address[port] == address[other]
                register[port] = None if collides else memory[address[port]]
        for port in "ab":
            if write[port]:
                memory[address[port]] = word[port]
    assert min(compared.values()) > CYCLES // 2
