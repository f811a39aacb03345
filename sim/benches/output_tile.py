"""output_tile: every pixel's word at its bank and address, as the layout of maps says."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, start
from tritforge.sim.benches.records import join, split

TILES = 40

Place = tuple[int, int, int]
"""First bank word, rows and columns of the tile that lie on the map."""


class TB:
    """Blocks of results at places of a map, channel pair by channel pair."""

    def __init__(self, dut, pattern: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.active = pause(pattern, self.random)
        self.pes, self.bits = int(dut.Pes.value), int(dut.ActivationBits.value)
        self.channels = int(dut.GroupChannels.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.blocks, self.row_stride = self.random.randint(1, 9), self.random.randint(20, 500)
        self.due: tuple[list[list[int]], Place] | None = None
        dut.row_stride_i.value, dut.blocks_i.value = self.row_stride, self.blocks

    async def cycle(self, lane: int | None, values: list[int], end: bool, place: Place) -> None:
        """A pair of every pixel, or a cycle without one; the tile of the cycle before is there, or none."""
        dut, noise = self.dut, self.random.getrandbits
        dut.pair_valid_i.value = lane is not None
        dut.pair_lane_i.value = noise(8) % (self.channels // 2) if lane is None else lane
        dut.pair_i.value = join(values, self.bits)
        dut.block_end_i.value = noise(1) if lane is None else end
        pointer, rows, columns = place if end else (noise(16), noise(self.rows), noise(self.columns))
        dut.pointer_i.value, dut.rows_i.value, dut.columns_i.value = pointer, rows, columns
        await ReadOnly()
        assert dut.tile_valid_o.value == (self.due is not None)
        if self.due:
            self.compare(*self.due)
        self.due = None
        await RisingEdge(dut.clk_i)

    def values(self) -> list[int]:
        return [self.random.getrandbits(self.bits) for _ in range(2 * self.pes)]

    async def block(self) -> None:
        """One block at a random place."""
        source = self.random
        place = source.getrandbits(16), source.getrandbits(self.rows), source.getrandbits(self.columns)
        words = [[0] * self.channels for _ in range(self.pes)]
        for lane in range(self.channels // 2):
            while not next(self.active):
                await self.cycle(None, self.values(), False, place)
            values = self.values()
            for pixel in range(self.pes):
                words[pixel][2 * lane : 2 * lane + 2] = values[2 * pixel : 2 * pixel + 2]
            end = lane == self.channels // 2 - 1
            await self.cycle(lane, values, end, place)
            if end:
                self.due = words, place

    def compare(self, words: list[list[int]], place: Place) -> None:
        """Pixel (i, j) lies at coordinates + 1; one past the tile is in the next chunk."""
        dut, (pointer, rows, columns) = self.dut, place
        mask = int(dut.tile_mask_o.value)
        addresses = split(int(dut.tile_addr_o.value), 16, self.pes)
        data = split(int(dut.tile_data_o.value), self.channels * self.bits, self.pes)
        for pixel in range(self.pes):
            i, j = divmod(pixel, self.columns)
            bank = (i + 1) % self.rows * self.columns + (j + 1) % self.columns
            inside = rows >> i & 1 and columns >> j & 1
            assert mask >> bank & 1 == inside
            if inside:
                chunk = (i + 1) // self.rows * self.row_stride + (j + 1) // self.columns * self.blocks
                assert addresses[bank] == (pointer + chunk) % (1 << 16), (i, j)
                assert data[bank] == join(words[pixel], self.bits), (i, j)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pattern=PAUSES)
async def pixels_go_to_their_banks(dut, pattern: str) -> None:
    """Blocks at random places, with gaps between pairs."""
    tb = TB(dut, pattern)
    dut.pair_valid_i.value = 0
    await start(dut)
    for _ in range(TILES):
        await tb.block()
    await tb.cycle(None, tb.values(), False, (0, 0, 0))
