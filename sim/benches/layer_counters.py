"""layer_counters: random layers with random events; what is read back and what was skipped."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import start

RUNS = 40
EVENTS = ("issued", "stall_windows", "stall_accumulators")


class TB:
    """Runs layers and keeps the counts they should leave."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.layers = int(dut.Layers.value)
        self.counts: dict[int, list[int]] = {}

    def idle(self) -> None:
        for name in ("layer_start", "layer_done", "tile_end", *EVENTS):
            getattr(self.dut, f"{name}_i").value = 0

    async def layer(self, index: int) -> None:
        """A layer: start, cycles with events and ends of tiles, done."""
        dut, source = self.dut, self.random
        length, chances = source.randint(1, 60), [source.random() for _ in EVENTS]
        tile_groups, shape = source.randrange(1 << 12), 0
        counts = [length, 0, 0, 0]
        dut.layer_start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.layer_start_i.value, dut.layer_index_i.value, dut.tile_groups_i.value = 0, index, tile_groups
        for _ in range(length):
            for counter, (name, chance) in enumerate(zip(EVENTS, chances, strict=True), 1):
                event = source.random() < chance
                getattr(dut, f"{name}_i").value = event
                counts[counter] += event
            tile = source.random() < 0.3
            dut.tile_end_i.value = tile
            shape += tile_groups * tile
            await ReadOnly()
            assert dut.skipped_valid_o.value == 0
            await RisingEdge(dut.clk_i)
        self.idle()
        dut.layer_done_i.value = 1
        await ReadOnly()
        assert dut.skipped_valid_o.value == 1
        assert int(dut.skipped_o.value) == (shape - counts[1]) % (1 << 24)
        await RisingEdge(dut.clk_i)
        dut.layer_done_i.value = 0
        self.counts[index] = counts

    async def rest(self, cycles: int) -> None:
        """Cycles between layers, with events that count for none."""
        for _ in range(cycles):
            for name in EVENTS:
                getattr(self.dut, f"{name}_i").value = self.random.random() < 0.5
            await ReadOnly()
            assert self.dut.skipped_valid_o.value == 0
            await RisingEdge(self.dut.clk_i)
        self.idle()

    async def read(self, index: int) -> list[int]:
        values = []
        for counter in range(4):
            self.dut.addr_i.value = 4 * index + counter
            await RisingEdge(self.dut.clk_i)
            await ReadOnly()
            values.append(int(self.dut.rdata_o.value))
            await RisingEdge(self.dut.clk_i)
        return values


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def layers_leave_their_counts(dut) -> None:
    """Cycles, groups issued and both stalls by layer, also when the next layer begins while they are written."""
    tb = TB(dut)
    tb.idle()
    await start(dut)
    for run in range(RUNS):
        index = run if run < tb.layers else tb.random.randrange(tb.layers)
        await tb.layer(index)
        await tb.rest(tb.random.choice((3, 3, 10)))
    await tb.rest(8)
    for index, counts in tb.counts.items():
        assert await tb.read(index) == counts, f"layer {index}"
    dut.layer_done_i.value = 1  # no layer runs: nothing ends
    await tb.rest(1)
    await tb.rest(6)
    for index, counts in tb.counts.items():
        assert await tb.read(index) == counts, f"layer {index}"
