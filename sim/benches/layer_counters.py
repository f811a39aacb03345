"""layer_counters: random layers with random events; what is read back and what was skipped."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import start

RUNS = 40
EVENTS = ("issued", "stall_windows", "stall_accumulators")


@dataclass
class Layer:
    """A layer in the core, and what it should leave."""

    index: int
    slot: int
    shape: int = 0
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])


class TB:
    """Up to two layers in the core, with events of either; keeps the counts they should leave."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.layers = int(dut.Layers.value)
        self.inside: list[Layer] = []
        self.slot = self.cycles = 0
        self.since_end = 2
        self.skipped: list[int | None] = [None, None]
        self.counts: dict[int, list[int]] = {}

    async def cycle(self, enters: int | None = None, ends: bool = False) -> None:
        """One cycle with random events; a layer of this index enters, and is there from the next cycle on."""
        dut, source = self.dut, self.random
        dut.busy_i.value = bool(self.inside)
        dut.layer_enters_i.value = enters is not None
        dut.layer_slot_i.value, dut.layer_index_i.value = self.slot, enters or 0
        dut.layer_done_i.value = ends
        dut.done_slot_i.value = self.inside[0].slot if self.inside else source.getrandbits(1)
        issuing = source.choice(self.inside) if self.inside and not ends else None
        dut.issue_slot_i.value = issuing.slot if issuing else source.getrandbits(1)
        for counter, name in enumerate(EVENTS, 1):
            event = issuing is not None and source.random() < 0.4
            getattr(dut, f"{name}_i").value = event
            if issuing:
                issuing.counts[counter] += event
        scanned = source.choice(self.inside) if self.inside and not ends and source.random() < 0.3 else None
        tile_groups = source.randrange(1 << 12)
        dut.tile_end_i.value, dut.tile_groups_i.value = scanned is not None, tile_groups
        dut.tile_slot_i.value = scanned.slot if scanned else source.getrandbits(1)
        if scanned:
            scanned.shape += tile_groups
        self.cycles = self.cycles + 1 if self.inside else 0
        await ReadOnly()
        skipped = self.skipped.pop(0)
        assert dut.skipped_valid_o.value == (skipped is not None)
        assert skipped is None or int(dut.skipped_o.value) == skipped
        self.skipped.append(None)
        self.since_end += 1
        if ends:
            layer = self.inside.pop(0)
            self.skipped[-1] = (layer.shape - layer.counts[1]) % (1 << 24)
            layer.counts[0], self.cycles, self.since_end = self.cycles, 0, 1
            self.counts[layer.index] = layer.counts
        if enters is not None:
            self.inside.append(Layer(enters, self.slot))
            self.slot ^= 1
        await RisingEdge(dut.clk_i)

    def may_end(self) -> bool:
        """There is a layer, and the one before ended two cycles ago."""
        return bool(self.inside) and self.since_end >= 2

    async def read(self, index: int) -> list[int]:
        values = []
        for counter in range(4):
            self.dut.addr_i.value = 4 * index + counter
            await self.cycle()
            await ReadOnly()
            values.append(int(self.dut.rdata_o.value))
            await RisingEdge(self.dut.clk_i)
        return values


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def layers_leave_their_counts(dut) -> None:
    """Cycles, groups issued and both stalls by layer, for one layer at a time and for two, with and without rests."""
    tb = TB(dut)
    dut.busy_i.value = dut.layer_enters_i.value = dut.layer_done_i.value = 0
    await start(dut)
    entered = 0
    while len(tb.counts) < tb.layers or entered < RUNS:
        room = len(tb.inside) < 2
        enters = room and tb.random.random() < 0.1
        index = entered if entered < tb.layers else tb.random.randrange(tb.layers)
        while any(layer.index == index for layer in tb.inside):
            index = (index + 1) % tb.layers
        ends = tb.may_end() and tb.random.random() < 0.16
        await tb.cycle(index if enters else None, ends)
        entered += enters
    while tb.inside:
        await tb.cycle(ends=tb.may_end() and tb.random.random() < 0.1)
    for _ in range(6):
        await tb.cycle()
    for index, counts in tb.counts.items():
        assert await tb.read(index) == counts, f"layer {index}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_forgets_the_layers_in_the_core(dut) -> None:
    """Around the end of a layer too, which then tells nothing of skipped groups; the next layers count from 0."""
    dut.busy_i.value = dut.layer_enters_i.value = dut.layer_done_i.value = 0
    await start(dut)
    for ended in range(6):
        tb = TB(dut)
        tb.random.seed(ended)
        await tb.cycle(3)
        for _ in range(20):
            await tb.cycle()
        for left in range(5, -1, -1):  # the layer ends so many cycles before the reset; the last one is the reset's
            dut.rst_i.value = left == 0
            await tb.cycle(ends=left == ended)
        dut.rst_i.value = 0
        tb = TB(dut)
        for index, cycles in ((7, 30), (3, 12)):
            await tb.cycle(index)
            for _ in range(cycles):
                await tb.cycle()
            await tb.cycle(ends=True)
            for _ in range(6):
                await tb.cycle()
        for index, counts in tb.counts.items():
            assert await tb.read(index) == counts, (ended, index)
