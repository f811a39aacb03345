"""result_output: every beat of every result, exactly, whatever the sink does."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.common import PAUSES, pause, start

RESULTS = 12


class TB:
    """Plays the core, which asks for space, and the sink."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.pass_outputs = int(dut.PassOutputs.value)
        self.expected: list[tuple[int, bool]] = []
        self.received: list[tuple[int, bool]] = []
        self.batches = 0

    async def reset(self) -> None:
        self.dut.start_valid_i.value = self.dut.pair_valid_i.value = self.dut.m_axis_tready.value = 0
        await start(self.dut)

    async def core(self, counts: list[int], source: str) -> None:
        """Send results of these counts of logits: a start, then the pairs of each pass, after asking for space."""
        dut, active = self.dut, pause(source, self.random)
        for count in counts:
            last = self.random.random() < 0.4
            number, version = self.random.getrandbits(32), self.random.getrandbits(32)
            self.expected.append((version << 32 | number, False))
            for first in range(0, count, self.pass_outputs):
                await RisingEdge(dut.clk_i)
                while not dut.space_o.value:
                    await RisingEdge(dut.clk_i)
                if first == 0:
                    dut.start_valid_i.value = 1
                    dut.start_sequence_i.value, dut.start_version_i.value = number, version
                    dut.start_count_i.value, dut.start_last_i.value = count, last
                    await RisingEdge(dut.clk_i)
                    dut.start_valid_i.value = 0
                for channel in range(first, min(first + self.pass_outputs, count), 2):
                    while not next(active):
                        await RisingEdge(dut.clk_i)
                    pair = [self.random.getrandbits(48) for _ in range(2)]
                    for index, logit in enumerate(pair):
                        if channel + index < count:
                            extended = logit | (0xFFFF << 48 if logit >> 47 else 0)
                            self.expected.append((extended, last and channel + index == count - 1))
                    dut.pair_valid_i.value, dut.pair_i.value = 1, pair[0] | pair[1] << 48
                    await RisingEdge(dut.clk_i)
                    dut.pair_valid_i.value = 0

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
    """Counts odd and even, of one logit, of a whole pass and of several passes."""
    tb = TB(dut)
    await tb.reset()
    largest = 3 * tb.pass_outputs
    counts = [1, 2, 10, tb.pass_outputs, tb.pass_outputs + 1, largest]
    counts += [tb.random.randint(1, 40) for _ in range(RESULTS - len(counts))]
    tb.random.shuffle(counts)
    cocotb.start_soon(tb.sink(sink))
    await tb.core(counts, source)
    while len(tb.received) < len(tb.expected):
        await RisingEdge(dut.clk_i)
    for _ in range(5):
        await RisingEdge(dut.clk_i)
    assert tb.received == tb.expected
    assert tb.batches == sum(last for _, last in tb.expected)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def space_is_there_exactly_while_a_pass_fits(dut) -> None:
    """With the sink stopped, two passes of logits fit; reset makes room again."""
    tb = TB(dut)
    await tb.reset()
    pairs = tb.pass_outputs // 2
    dut.start_valid_i.value, dut.start_count_i.value = 1, 2 * tb.pass_outputs
    await RisingEdge(dut.clk_i)
    dut.start_valid_i.value = 0
    dut.pair_valid_i.value = 1
    for held in range(2 * pairs):
        await ReadOnly()
        assert dut.space_o.value == (held <= pairs)
        await RisingEdge(dut.clk_i)
    await tb.reset()
    await ReadOnly()
    assert dut.space_o.value == 1 and dut.m_axis_tvalid.value == 0
    await RisingEdge(dut.clk_i)
    for started in range(4):
        await ReadOnly()
        assert dut.space_o.value == 1, f"{started} results started"
        await RisingEdge(dut.clk_i)
        dut.start_valid_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.start_valid_i.value = 0
    await ReadOnly()
    assert dut.space_o.value == 0
