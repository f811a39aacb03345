"""result_output: every beat of every result, exactly, whatever the sink does."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, pause, start
from tritforge.sim.benches.records import join

RESULTS = 12


class TB:
    """Plays the core, which asks for space, and the sink."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pass_outputs = int(dut.PassOutputs.value)
        self.expected: list[tuple[int, bool]] = []
        self.received: list[tuple[int, bool]] = []
        self.batches = self.most = self.reserved = 0

    async def reset(self) -> None:
        for name in ("reserve_i", "start_valid_i", "quad_valid_i", "m_axis_tready"):
            getattr(self.dut, name).value = 0
        await start(self.dut)

    async def images(self, count: int, source: str) -> None:
        """Start images where there was space, at once or later: logits of the one before may come in between."""
        dut, active = self.dut, pause(source, self.random)
        for _ in range(count):
            while not (dut.space_o.value and next(active)):
                await RisingEdge(dut.clk_i)
            for _ in range(self.random.choice((0, 0, 1, 2, 7))):
                await RisingEdge(dut.clk_i)
            dut.reserve_i.value = 1
            await RisingEdge(dut.clk_i)
            dut.reserve_i.value = 0
            self.reserved += 1
            self.most = max(self.most, self.reserved)
            await RisingEdge(dut.clk_i)

    async def core(self, counts: list[int], source: str) -> None:
        """Send results of these counts of logits, each once its image has started."""
        dut, active = self.dut, pause(source, self.random)
        cocotb.start_soon(self.images(len(counts), source))
        for count in counts:
            while not self.reserved:
                await RisingEdge(dut.clk_i)
            last = self.random.random() < 0.4
            number, version = self.random.getrandbits(32), self.random.getrandbits(32)
            self.expected.append((version << 32 | number, False))
            dut.start_valid_i.value = 1
            dut.start_sequence_i.value, dut.start_version_i.value = number, version
            dut.start_count_i.value, dut.start_last_i.value = count, last
            await RisingEdge(dut.clk_i)
            dut.start_valid_i.value = 0
            for channel in range(0, count, 4):
                while not next(active):
                    await RisingEdge(dut.clk_i)
                quad = [self.random.getrandbits(48) for _ in range(4)]
                for index, logit in enumerate(quad):
                    if channel + index < count:
                        extended = logit | (0xFFFF << 48 if logit >> 47 else 0)
                        self.expected.append((extended, last and channel + index == count - 1))
                dut.quad_valid_i.value, dut.quad_i.value = 1, join(quad, 48)
                await RisingEdge(dut.clk_i)
                dut.quad_valid_i.value = 0
            self.reserved -= 1

    async def sink(self, pattern: str) -> None:
        """Take beats for ever; a beat that waits must not change."""
        dut, active, waiting = self.dut, pause(pattern, self.random), None
        while True:
            dut.m_axis_tready.value = next(active)
            await ReadOnly()
            self.batches += int(dut.batch_done_o.value)
            if waiting is not None:
                assert dut.m_axis_tvalid.value == 1, "a beat was taken back"
            if dut.m_axis_tvalid.value:
                beat = int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value)
                assert int(dut.m_axis_tkeep.value) == 0xFF
                assert waiting in (None, beat), "a waiting beat changed"
                waiting = None if dut.m_axis_tready.value else beat
                if waiting is None:
                    self.received.append(beat)
            await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source=PAUSES, sink=PAUSES)
async def results_leave_as_they_came(dut, source: str, sink: str) -> None:
    """Every count of logits modulo 4, one logit, and as many as there may be."""
    tb = TB(dut)
    await tb.reset()
    counts = [1, 2, 3, 4, 10, tb.pass_outputs - 1, tb.pass_outputs, tb.pass_outputs]
    counts += [tb.random.randint(1, tb.pass_outputs) for _ in range(RESULTS - len(counts))]
    tb.random.shuffle(counts)
    cocotb.start_soon(tb.sink(sink))
    await tb.core(counts, source)
    while len(tb.received) < len(tb.expected):
        await RisingEdge(dut.clk_i)
    for _ in range(5):
        await RisingEdge(dut.clk_i)
    assert tb.received == tb.expected
    assert tb.batches == sum(last for _, last in tb.expected)
    assert tb.most == 2 or source == "idle"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def space_is_there_exactly_while_a_result_fits(dut) -> None:
    """With the sink stopped: two results of any size in flight or held, four starts; reset makes room again."""
    tb = TB(dut)
    await tb.reset()

    async def pulse(name: str) -> None:
        getattr(dut, name).value = 1
        await RisingEdge(dut.clk_i)
        getattr(dut, name).value = 0

    async def space() -> bool:
        await ReadOnly()
        result = bool(dut.space_o.value)
        await RisingEdge(dut.clk_i)
        return result

    dut.start_count_i.value = tb.pass_outputs
    assert await space()
    await pulse("reserve_i")
    assert await space(), "a second image while the first is in flight"
    await pulse("reserve_i")
    assert not await space()
    for _ in range(2):
        await pulse("start_valid_i")
    assert not await space()
    for _ in range(tb.pass_outputs // 2):
        await pulse("quad_valid_i")
        assert not await space()
    await tb.reset()
    assert await space() and dut.m_axis_tvalid.value == 0
    dut.start_count_i.value = 1
    for started in range(4):
        assert await space(), f"{started} results started"
        await pulse("reserve_i")
        await pulse("start_valid_i")
        await pulse("quad_valid_i")
    assert not await space(), "a fifth start"
    most = tb.pass_outputs
    for counts, fits in (((most,), True), ((most - 3,), True), ((4, most), False)):  # results that wait, whole
        await tb.reset()
        for count in counts:
            dut.start_count_i.value = count
            await pulse("reserve_i")
            await pulse("start_valid_i")
            for _ in range(-(-count // 4)):
                await pulse("quad_valid_i")
        assert await space() == fits, counts
