"""fifo: what goes in comes out once and in order, whatever both sides do."""

from __future__ import annotations

import random
from collections import deque

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, pause, start

WORDS = 400


class TB:
    """A model queue beside the device, compared in every cycle."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.width, self.depth = len(dut.data_i), int(dut.Depth.value)
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.model: deque[int] = deque()
        self.received = 0
        self.was_full = False

    async def cycle(self, offer: bool, take: bool) -> None:
        """One clock cycle, with or without a word offered and one taken."""
        dut, word = self.dut, self.random.getrandbits(self.width)
        dut.valid_i.value, dut.data_i.value, dut.ready_i.value = offer, word, take
        await ReadOnly()
        assert int(dut.count_o.value) == len(self.model)
        assert dut.valid_o.value == bool(self.model)
        assert dut.ready_o.value == (len(self.model) < self.depth)
        if self.model:
            assert int(dut.data_o.value) == self.model[0]
        accepted = offer and len(self.model) < self.depth
        if take and self.model:
            self.model.popleft()
            self.received += 1
        if accepted:
            self.model.append(word)
        self.was_full |= len(self.model) == self.depth
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source=PAUSES, sink=PAUSES)
async def words_keep_their_order(dut, source: str, sink: str) -> None:
    """Random words, under every pair of pause patterns."""
    tb = TB(dut)
    dut.valid_i.value = dut.ready_i.value = 0
    await start(dut)
    offers, takes = pause(source, tb.random), pause(sink, tb.random)
    while tb.received < WORDS:
        await tb.cycle(next(offers), next(takes))
    assert tb.was_full or sink == "none"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_empties_it(dut) -> None:
    """After a reset the entries of before are gone."""
    tb = TB(dut)
    dut.valid_i.value = dut.ready_i.value = 0
    await start(dut)
    for _ in range(3):
        await tb.cycle(True, False)
    tb.model.clear()
    dut.valid_i.value = dut.ready_i.value = 0
    await start(dut, clock=False)
    for _ in range(3):
        await tb.cycle(True, False)
