"""output_tile: every pixel's word at its bank and address, as the layout of maps says."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import PAUSES, pause, start
from tritforge.sim.benches.map_memory import bank_addresses
from tritforge.sim.benches.records import join, split

ROWS = 12

Place = tuple[int, int, int]
"""First bank word, rows and columns of the tile that lie on the map."""


class TB:
    """Blocks of results along rows of tiles, quad by quad."""

    def __init__(self, dut, pattern: str) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.active = pause(pattern, self.random)
        self.pes, self.bits = int(dut.Pes.value), int(dut.ActivationBits.value)
        self.channels = int(dut.GroupChannels.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.base = self.blocks = self.row_stride = 0
        self.due: tuple[list[list[int]], Place, int, int] | None = None

    async def cycle(self, lane: int | None, values: list[int], start: bool, first: bool, place: Place) -> None:
        """A quad of every pixel, or a cycle without one; the tile of the cycle before is there, or none."""
        dut, noise = self.dut, self.random.getrandbits
        dut.quad_valid_i.value = lane is not None
        dut.base_i.value, dut.row_stride_i.value, dut.blocks_i.value = noise(16), noise(16), noise(8)
        dut.row_start_i.value, dut.first_tile_i.value, dut.lane_i.value = noise(1), noise(1), noise(1)
        dut.rows_i.value, dut.columns_i.value = noise(self.rows), noise(self.columns)
        if lane is not None:
            dut.base_i.value, dut.row_stride_i.value, dut.blocks_i.value = self.base, self.row_stride, self.blocks
            dut.row_start_i.value, dut.first_tile_i.value, dut.lane_i.value = start, first, lane
            _, dut.rows_i.value, dut.columns_i.value = place
        dut.quad_i.value = join(values, self.bits)
        await ReadOnly()
        assert dut.tile_valid_o.value == (self.due is not None)
        if self.due:
            self.compare(*self.due)
        self.due = None
        await RisingEdge(dut.clk_i)

    def values(self) -> list[int]:
        return [self.random.getrandbits(self.bits) for _ in range(4 * self.pes)]

    async def block(self, pointer: int, start: bool, first: bool) -> None:
        """One block, to be written at a bank word."""
        place = pointer, self.random.getrandbits(self.rows), self.random.getrandbits(self.columns)
        words = [[0] * self.channels for _ in range(self.pes)]
        for lane in range(self.channels // 4):
            while not next(self.active):
                await self.cycle(None, self.values(), False, False, place)
            values = self.values()
            for pixel in range(self.pes):
                words[pixel][4 * lane : 4 * lane + 4] = values[4 * pixel : 4 * pixel + 4]
            await self.cycle(lane, values, start, first, place)
        self.due = words, place, self.row_stride, self.blocks

    async def row(self, number: int) -> None:
        """A row of tiles: its blocks follow each other in the banks."""
        tiles = self.random.randint(1, 3)
        for index in range(tiles * self.blocks):
            pointer = self.base + number * self.row_stride + index
            await self.block(pointer, index == 0, number == 0 and index < self.blocks)

    def compare(self, words: list[list[int]], place: Place, row_stride: int, blocks: int) -> None:
        """Pixel (i, j) lies at coordinates + 1; one past the tile is in the next chunk."""
        dut, (pointer, rows, columns) = self.dut, place
        mask = int(dut.tile_mask_o.value)
        addresses = bank_addresses(int(dut.tile_addr_o.value), self.pes)
        data = split(int(dut.tile_data_o.value), self.channels * self.bits, self.pes)
        for pixel in range(self.pes):
            i, j = divmod(pixel, self.columns)
            bank = (i + 1) % self.rows * self.columns + (j + 1) % self.columns
            inside = rows >> i & 1 and columns >> j & 1
            assert mask >> bank & 1 == inside
            if inside:
                chunk = (i + 1) // self.rows * row_stride + (j + 1) // self.columns * blocks
                assert addresses[bank] == (pointer + chunk) % (1 << 16), (i, j)
                assert data[bank] == join(words[pixel], self.bits), (i, j)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pattern=PAUSES)
async def pixels_go_to_their_banks(dut, pattern: str) -> None:
    """Layers of a few rows of tiles, one after the other, with gaps between quads."""
    tb = TB(dut, pattern)
    dut.quad_valid_i.value = 0
    await start(dut)
    for number in range(ROWS):
        if number % 3 == 0:
            tb.base, tb.row_stride = tb.random.getrandbits(16), tb.random.getrandbits(16)
            tb.blocks = tb.random.randint(1, 4)
        await tb.row(number % 3)
    await tb.cycle(None, tb.values(), False, False, (0, 0, 0))
