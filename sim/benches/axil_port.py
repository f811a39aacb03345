"""axil_port: reads and writes reach the requests as they were sent, with the answers that are given to them."""

from __future__ import annotations

import logging
import random
from itertools import cycle

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from tritforge.sim.benches.common import start

ACCESSES = 200
WORDS = 64
FORBIDDEN = 16
"""Words below this one are answered with an error."""


class TB:
    """Words behind the port that answer after none to six cycles; counts requests, and notes their kinds."""

    def __init__(self, dut) -> None:
        logging.getLogger(f"cocotb.{dut._name}.s_axil").setLevel(logging.WARNING)
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_i)
        self.words = [self.random.getrandbits(32) for _ in range(WORDS)]
        self.kinds: list[int] = []

    async def reset(self) -> None:
        self.dut.ack_i.value = 0
        await start(self.dut)
        cocotb.start_soon(self._answer())

    async def _answer(self) -> None:
        dut = self.dut
        while True:
            await FallingEdge(dut.clk_i)
            if not dut.req_o.value:
                continue
            access = self._access()
            self.kinds.append(access[0])
            for _ in range(self.random.choice((0, 0, 1, 2, 6))):
                await FallingEdge(dut.clk_i)
                assert dut.req_o.value == 0 and self._access() == access, "a request does not stay"
            write, word, data, strobes = access
            for byte in range(4):
                if write and word >= FORBIDDEN and strobes >> byte & 1:
                    mask = 0xFF << (8 * byte)
                    self.words[word] = (self.words[word] & ~mask) | (data & mask)
            dut.ack_i.value, dut.error_i.value, dut.rdata_i.value = 1, word < FORBIDDEN, self.words[word]
            await RisingEdge(dut.clk_i)
            dut.ack_i.value = 0
            dut.error_i.value, dut.rdata_i.value = self.random.getrandbits(1), self.random.getrandbits(32)

    def _access(self) -> tuple[int, int, int, int]:
        dut = self.dut
        values = dut.req_write_o, dut.req_word_o, dut.req_wdata_o, dut.req_strobes_o
        write, word, data, strobes = (int(value.value) for value in values)
        return write, word, data, strobes


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pauses=[False, True])
async def accesses_are_answered(dut, pauses: bool) -> None:
    """Random words and bytes are written and read, some of them forbidden, with pauses on all channels."""
    tb = TB(dut)
    source, expected = tb.random, list(tb.words)
    if pauses:
        write, read = tb.master.write_if, tb.master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(cycle([source.random() < 0.5 for _ in range(97)]))
    await tb.reset()
    for access in range(1, ACCESSES + 1):
        word = source.randrange(WORDS)
        error = AxiResp.SLVERR if word < FORBIDDEN else AxiResp.OKAY
        if source.random() < 0.5:
            first = source.randrange(4)
            data = source.randbytes(source.randint(1, 4 - first))
            assert (await tb.master.write(4 * word + first, data)).resp == error
            if not error:
                held = bytearray(expected[word].to_bytes(4, "little"))
                held[first : first + len(data)] = data
                expected[word] = int.from_bytes(held, "little")
        else:
            answer = await tb.master.read(4 * word, 4)
            assert answer.resp == error and int.from_bytes(answer.data, "little") == expected[word]
        assert len(tb.kinds) == access and tb.words == expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_and_writes_take_turns(dut) -> None:
    """While both wait, neither kind comes twice in a row; and each access is requested once."""
    tb = TB(dut)
    await tb.reset()
    data = tb.random.randbytes(4 * (WORDS - FORBIDDEN))
    writing = cocotb.start_soon(tb.master.write(4 * FORBIDDEN, data))
    await tb.master.read(4 * FORBIDDEN, len(data))
    await writing
    assert len(tb.kinds) == len(data) // 2
    assert all(kind != after for kind, after in zip(tb.kinds[:-2], tb.kinds[1:-1], strict=True))
    assert b"".join(word.to_bytes(4, "little") for word in tb.words[FORBIDDEN:]) == data


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(write=[False, True])
async def a_reset_drops_the_access(dut, write: bool) -> None:
    """Asked for, begun, or answered and not taken: nothing of it is left, and what is asked for then comes once."""
    for name in ("awvalid", "wvalid", "arvalid", "bready", "rready", "awaddr", "araddr", "wdata", "wstrb"):
        getattr(dut, f"s_axil_{name}").value = 0
    dut.s_axil_awprot.value = dut.s_axil_arprot.value = dut.ack_i.value = dut.error_i.value = 0
    valids = [dut.s_axil_awvalid, dut.s_axil_wvalid] if write else [dut.s_axil_arvalid]
    outputs = [getattr(dut, f"s_axil_{name}") for name in ("awready", "wready", "arready", "bvalid", "rvalid")]
    await start(dut)
    for cycles in range(6):
        for valid in valids:
            valid.value = 1
        dut.s_axil_awaddr.value = dut.s_axil_araddr.value = 0x40
        for past in range(cycles):  # requested in the second cycle, acknowledged in the third
            dut.ack_i.value = past == 2
            await RisingEdge(dut.clk_i)
            if past >= 1:
                for valid in valids:
                    valid.value = 0
        dut.rst_i.value, dut.ack_i.value = 1, 0
        await RisingEdge(dut.clk_i)
        for valid in valids:
            valid.value = 0
        dut.rst_i.value = 0
        for _ in range(4):
            await ReadOnly()
            assert dut.req_o.value == 0 and not any(output.value for output in outputs), cycles
            await RisingEdge(dut.clk_i)
