"""staging_commit: entries are read back as written and copied in order, one a cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.spaces import ADDRESS_BITS, SPACE_BITS, WORD_BITS
from tritforge.sim.benches.common import start

ENTRY_BITS = SPACE_BITS + ADDRESS_BITS + WORD_BITS


class TB:
    """Host access to the entries, and what a copy writes."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.entries = [0] * int(dut.Staging.value)

    async def reset(self) -> None:
        self.dut.entry_we_i.value = self.dut.start_i.value = 0
        await start(self.dut)

    async def write(self, index: int, entry: int) -> None:
        dut = self.dut
        dut.entry_we_i.value, dut.entry_addr_i.value, dut.entry_wdata_i.value = 1, index, entry
        self.entries[index] = entry
        await RisingEdge(dut.clk_i)
        dut.entry_we_i.value = 0

    async def read(self, index: int) -> int:
        self.dut.entry_addr_i.value = index
        for _ in range(3):
            await RisingEdge(self.dut.clk_i)
        return int(self.dut.entry_rdata_o.value)

    async def copy(self, count: int) -> None:
        """Copy, and check what is written in every cycle until done."""
        dut = self.dut
        dut.start_i.value, dut.entries_i.value = 1, count
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for cycle in range(count + 2 if count else 3):
            await ReadOnly()
            assert dut.busy_o.value == 1
            writes = 2 <= cycle < count + 2
            assert dut.prog_we_o.value == writes, f"cycle {cycle} of {count}"
            if writes:
                entry = self.entries[cycle - 2]
                assert int(dut.prog_space_o.value) == entry >> WORD_BITS + ADDRESS_BITS
                assert int(dut.prog_addr_o.value) == entry >> WORD_BITS & (1 << ADDRESS_BITS) - 1
                assert int(dut.prog_wdata_o.value) == entry & (1 << WORD_BITS) - 1
            assert dut.done_o.value == (cycle == (count + 1 if count else 2))
            await RisingEdge(dut.clk_i)
        await ReadOnly()
        assert dut.busy_o.value == 0 and dut.done_o.value == 0 and dut.prog_we_o.value == 0
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def entries_are_read_back_and_copied(dut) -> None:
    """Copies of nothing, of one, of some and of all entries; then some are changed and all copied again."""
    tb = TB(dut)
    await tb.reset()
    size = len(tb.entries)
    for index in range(size):
        await tb.write(index, tb.random.getrandbits(ENTRY_BITS))
    for index in tb.random.sample(range(size), 20):
        assert await tb.read(index) == tb.entries[index]
    for count in (0, 1, 2, tb.random.randrange(3, size), size):
        await tb.copy(count)
    for _ in range(20):
        await tb.write(tb.random.randrange(size), tb.random.getrandbits(ENTRY_BITS))
    await tb.copy(size)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_stops_a_copy(dut) -> None:
    """In each of its cycles: nothing more is written, and the next copy begins anew."""
    tb = TB(dut)
    await tb.reset()
    count = 16
    for index in range(count):
        await tb.write(index, tb.random.getrandbits(56))
    for cycles in range(count + 4):
        dut.start_i.value, dut.entries_i.value = 1, count
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for _ in range(cycles):
            await RisingEdge(dut.clk_i)
        dut.rst_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.rst_i.value = 0
        for _ in range(6):
            await ReadOnly()
            assert dut.prog_we_o.value == 0 and dut.busy_o.value == 0 and dut.done_o.value == 0, cycles
            await RisingEdge(dut.clk_i)
        await tb.copy(count)
