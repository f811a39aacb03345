"""axi_checker with the ports driven by hand: each rule of :data:`VIOLATIONS` broken once, in order, amid rightful use.

The simulation goes on after a failed assertion; that exactly these messages came is left to the caller.
"""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from tritforge.sim.benches.common import start

CHANNELS = {
    "write address": ("s_axil_aw", ("addr", "prot")),
    "write data": ("s_axil_w", ("data", "strb")),
    "write response": ("s_axil_b", ("resp",)),
    "read address": ("s_axil_ar", ("addr", "prot")),
    "read data": ("s_axil_r", ("data", "resp")),
    "images": ("s_axis_t", ("data", "last")),
    "results": ("m_axis_t", ("data", "keep", "last")),
}
FROM_DEVICE = ("write response", "read data", "results")
VIOLATIONS = (
    *(f"{channel}: valid fell before ready" for channel in CHANNELS),
    *(f"{channel}: payload changed before ready" for channel, (_, parts) in CHANNELS.items() for _ in parts),
    *(f"{channel}: valid in a reset" for channel in FROM_DEVICE),
    *("write response without an address", "write response without data", "read data without an address"),
)
REQUESTS = {"write response": ("write address", "write data"), "read data": ("read address",)}


class TB:
    """Channels as pairs of hands."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        dut.stream_rst_i.value = 0
        for channel in CHANNELS:
            self.put(channel, 0, 0)

    def part(self, channel: str, name: str):
        """A signal of a channel."""
        return getattr(self.dut, CHANNELS[channel][0] + name)

    def put(self, channel: str, valid: int, ready: int) -> None:
        """Drive both sides of the handshake."""
        self.part(channel, "valid").value, self.part(channel, "ready").value = valid, ready

    def fill(self, channel: str) -> None:
        """Any payload."""
        for name in CHANNELS[channel][1]:
            signal = self.part(channel, name)
            signal.value = self.random.getrandbits(len(signal))

    async def cycles(self, count: int = 1) -> None:
        """Let time pass."""
        await ClockCycles(self.dut.clk_i, count)

    async def transfer(self, channel: str) -> None:
        """A rightful transfer, with or without waiting; requests go before responses."""
        for request in REQUESTS.get(channel, ()):
            await self.transfer(request)
        self.fill(channel)
        for wait in range(self.random.randint(0, 3), -1, -1):
            self.put(channel, 1, wait == 0)
            await self.cycles()
        self.put(channel, 0, self.random.randint(0, 1))
        self.fill(channel)

    async def offer(self, channel: str) -> None:
        """Begin a transfer that has to wait."""
        for request in REQUESTS.get(channel, ()):
            await self.transfer(request)
        self.put(channel, 1, 0)
        await self.cycles(2)

    async def reset(self) -> None:
        """Everything is taken back under a reset of both kinds."""
        self.dut.rst_i.value = self.dut.stream_rst_i.value = 1
        for channel in CHANNELS:
            self.put(channel, 0, 0)
        await self.cycles(2)
        self.dut.rst_i.value = self.dut.stream_rst_i.value = 0
        await self.cycles()

    async def rightful(self) -> None:
        """Some transfers on all channels, then a reset under offers."""
        for channel in self.random.sample(list(CHANNELS), len(CHANNELS)):
            await self.transfer(channel)
        for channel in sorted(CHANNELS, key=lambda name: name not in FROM_DEVICE):  # requests of responses go first
            await self.offer(channel)
        await self.reset()


@cocotb.test()
async def every_rule_is_broken_once(dut) -> None:
    """See the module."""
    tb = TB(dut)
    await start(dut)
    await RisingEdge(dut.clk_i)
    for channel in CHANNELS:
        await tb.rightful()
        await tb.offer(channel)
        tb.put(channel, 0, 0)
        await tb.cycles(2)
    for channel, (_, parts) in CHANNELS.items():
        for name in parts:
            await tb.rightful()
            await tb.offer(channel)
            signal = tb.part(channel, name)
            signal.value = int(signal.value) ^ 1 << tb.random.randrange(len(signal))
            tb.put(channel, 1, 1)
            await tb.cycles()
            tb.put(channel, 0, 0)
    for channel in FROM_DEVICE:
        await tb.rightful()
        await tb.offer(channel)
        dut.rst_i.value = dut.stream_rst_i.value = 1
        await tb.cycles(2)
        await tb.reset()
    for request, response in (("write data", "b"), ("write address", "b"), (None, "r")):
        await tb.rightful()
        if request is not None:
            await tb.transfer(request)
        channel = {"b": "write response", "r": "read data"}[response]
        tb.put(channel, 1, 1)
        await tb.cycles()
        await tb.reset()
    await tb.rightful()
