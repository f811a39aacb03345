"""average_pool: exact sums of the pixels on the map, for layers one after the other."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.parameters import TILE_SHAPES
from tritforge.sim.benches.records import join, signed

CYCLES = 1200


class TB:
    """A pair of channels in a cycle, and a look at one pair's sums in every cycle."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.bits = int(dut.Pes.value), int(dut.ActivationBits.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.pairs = int(dut.PoolChannels.value) // 2
        self.sums: dict[int, list[int]] = {}
        # What is under way: a level of adders a cycle, and the sum itself.
        self.way: deque[tuple[int, bool, list[int]] | None] = deque([None] * (self.pes - 1).bit_length())
        self.compared = 0
        dut.pair_valid_i.value = 0
        Clock(dut.clk_i, 10, "ns").start()

    async def cycle(self, valid: bool) -> None:
        dut, source, top = self.dut, self.random, (1 << self.bits) - 1
        values = [source.choice((top, source.randint(0, top))) for _ in range(2 * self.pes)]
        index, first = source.randrange(self.pairs), source.random() < 0.1
        rows, columns = source.getrandbits(self.rows), source.getrandbits(self.columns) | source.choice((0, 255))
        columns &= (1 << self.columns) - 1
        read = source.randrange(self.pairs)
        first |= valid and index not in self.sums and not any(w and w[0] == index for w in self.way)
        dut.pair_valid_i.value, dut.first_tile_i.value, dut.pair_index_i.value = valid, first, index
        dut.rows_i.value, dut.columns_i.value = rows, columns
        dut.pair_i.value, dut.read_pair_i.value = join(values, self.bits), read
        await ReadOnly()
        if read in self.sums:
            got = [signed(int(port.value), 32) for port in (dut.even_o, dut.odd_o)]
            assert got == self.sums[read]
            self.compared += 1
        on_map = [p for p in range(self.pes) if rows >> p // self.columns & 1 and columns >> p % self.columns & 1]
        tile = [sum(values[2 * p + k] for p in on_map) for k in range(2)]
        self.way.append((index, first, tile) if valid else None)
        done = self.way.popleft()
        if done:
            before = [0, 0] if done[1] else self.sums[done[0]]
            self.sums[done[0]] = [old + new for old, new in zip(before, done[2], strict=True)]
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_leave_out_what_is_beside_the_map(dut) -> None:
    """Random pairs, also the same one in consecutive cycles; rows and columns beside the map do not count."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    for _ in range(len(tb.way) + 2):
        await tb.cycle(False)
    for _ in range(CYCLES):
        await tb.cycle(tb.random.random() < 0.8)
    assert tb.compared > CYCLES // 2
