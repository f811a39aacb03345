"""feature_map: windows, tiles, residual reads and pixels at once, against banks in a dictionary."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.map_memory import bank_addresses, window_addresses
from tritforge.sim.benches.records import join, split

CYCLES = 1500


class TB:
    """Every port at random in every cycle; a word that was never written is not compared."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pes, self.width = int(dut.Pes.value), int(dut.WordBits.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.words = int(dut.FeatureWords.value)
        self.banks: list[dict[int, int]] = [{} for _ in range(self.pes)]
        nothing: list[int | None] = [None] * self.pes
        self.windows = deque([nothing, nothing])  # in the output register, in the memory
        self.residuals = deque([nothing, nothing])
        self.compared = {"window": 0, "residual": 0}
        self.pixels = 0
        Clock(dut.clk_i, 10, "ns").start()

    def read(self, addresses: list[int]) -> list[int | None]:
        return [bank.get(address) for bank, address in zip(self.banks, addresses, strict=True)]

    def compare(self, name: str, value: int, expected: list[int | None]) -> None:
        for bank, (got, wanted) in enumerate(zip(split(value, self.width, self.pes), expected, strict=True)):
            if wanted is not None:
                assert got == wanted, f"{name}, bank {bank}"
                self.compared[name] += 1

    async def cycle(self) -> None:
        dut, source = self.dut, self.random
        window_en, wanted, tile, residual, pixel = (source.random() < chance for chance in (0.7, 0.6, 0.3, 0.5, 0.7))
        residual &= not tile
        tile_chunks, residual_chunks, window_halves = (
            join([source.randrange(self.words) for _ in range(4)], 16) for _ in range(3)
        )
        tile_at, residual_at = (bank_addresses(chunks, self.pes) for chunks in (tile_chunks, residual_chunks))
        window_at = window_addresses(window_halves, self.pes)
        data = [source.getrandbits(self.width) for _ in range(self.pes)]
        mask, bank, at = source.getrandbits(self.pes), source.randrange(self.pes), source.randrange(self.words)
        word = source.getrandbits(self.width)
        if tile:
            # Never two writes of a word; what is read while it is written is not compared.
            at = next(a for a in range(self.words) if a != tile_at[bank])
        dut.window_en_i.value, dut.window_idle_i.value = window_en, not (window_en and wanted)
        dut.window_addr_i.value = window_halves
        dut.tile_valid_i.value, dut.tile_mask_i.value = tile, mask
        dut.tile_addr_i.value, dut.tile_data_i.value = tile_chunks, join(data, self.width)
        dut.residual_valid_i.value, dut.residual_addr_i.value = residual, residual_chunks
        dut.pixel_valid_i.value, dut.pixel_addr_i.value, dut.pixel_data_i.value = pixel, at, word
        dut.pixel_row_i.value, dut.pixel_column_i.value = divmod(bank, self.columns)
        await ReadOnly()
        written = pixel and not (window_en and wanted)
        assert dut.pixel_ready_o.value == (not (window_en and wanted))
        self.compare("window", int(dut.window_data_o.value), self.windows[0])
        self.compare("residual", int(dut.residual_data_o.value), self.residuals[0])
        self.residuals[0] = self.residuals[1]
        if residual:
            self.residuals[1] = self.read(residual_at)
            if written and residual_at[bank] == at:
                self.residuals[1][bank] = None
        if window_en:
            self.windows[0] = self.windows[1]
            if wanted:
                self.windows[1] = self.read(window_at)
                for index in range(self.pes):
                    if tile and window_at[index] == tile_at[index]:
                        self.windows[1][index] = None
            else:
                self.windows[1] = [None] * self.pes
        if tile:
            for index in range(self.pes):
                if mask >> index & 1:
                    self.banks[index][tile_at[index]] = data[index]
        if written:
            self.banks[bank][at] = word
            self.pixels += 1
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ports_match_the_model(dut) -> None:
    """Pixels go where the windows leave a cycle; windows that stand still, and residuals, keep their words."""
    for name in ("tile_valid", "residual_valid"):  # inputs begin with any value, and no read goes with a tile
        getattr(dut, f"{name}_i").set(Immediate(0))
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        await tb.cycle()
    assert min(tb.compared.values()) > CYCLES and tb.pixels > CYCLES // 4
