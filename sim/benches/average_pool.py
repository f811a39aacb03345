"""average_pool: exact sums of the pixels, for layers one after the other."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import join, signed, split

LAYERS = 12


class TB:
    """A quad of channels in a cycle, or none."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.bits = int(dut.Pes.value), int(dut.ActivationBits.value)
        self.quads = int(dut.PoolChannels.value) // 4
        self.acc_bits = len(dut.sums_o) // 4
        dut.quad_valid_i.value = dut.read_quad_i.value = 0
        Clock(dut.clk_i, 10, "ns").start()

    async def cycle(self, index: int | None, first: bool) -> list[int]:
        """A quad of channels of a tile; returns what it adds to their sums."""
        dut, source, top = self.dut, self.random, (1 << self.bits) - 1
        values = [source.choice((0, top, source.randint(0, top))) for _ in range(4 * self.pes)]
        dut.quad_valid_i.value, dut.quad_i.value = index is not None, join(values, self.bits)
        dut.quad_index_i.value = source.randrange(self.quads) if index is None else index
        dut.first_tile_i.value = source.getrandbits(1) if index is None else first
        dut.read_quad_i.value = source.randrange(self.quads)
        await RisingEdge(dut.clk_i)
        return [sum(values[k::4]) for k in range(4)]

    async def layer(self, quads: int, tiles: int) -> dict[int, list[int]]:
        """The quads of each tile in order, with or without gaps; their sums."""
        sums = {quad: [0] * 4 for quad in range(quads)}
        gaps = self.random.choice((0, 0.5))
        for tile in range(tiles):
            for quad in range(quads):
                while self.random.random() < gaps:
                    await self.cycle(None, False)
                added = await self.cycle(quad, tile == 0)
                sums[quad] = [old + new for old, new in zip(sums[quad], added, strict=True)]
        return sums

    async def read(self, sums: dict[int, list[int]]) -> None:
        """Read all sums, in any order, one a cycle."""
        due: deque[int] = deque()
        self.dut.quad_valid_i.value = 0
        for quad in [*self.random.sample(sorted(sums), len(sums)), 0]:
            self.dut.read_quad_i.value = quad
            await ReadOnly()
            if due:
                words = split(int(self.dut.sums_o.value), self.acc_bits, 4)
                last = due.popleft()
                assert [signed(word, self.acc_bits) for word in words] == sums[last], last
            due.append(quad)
            await RisingEdge(self.dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_are_exact(dut) -> None:
    """Layers from two quads of channels to all there are, read when the last quad has gone through the tree."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    levels = (tb.pes - 1).bit_length()
    for number in range(LAYERS):
        quads = 2 if number == 0 else tb.random.randint(2, tb.quads)
        sums = await tb.layer(quads, tb.random.randint(1, 4))
        for _ in range(levels + 1):
            await tb.cycle(None, False)
        await tb.read(sums)
