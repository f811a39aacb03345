"""The accelerator's streams in a cocotb simulation: images in, results out.

Both sides wait for edges of the handshake instead of looking at every cycle, so that long computations cost no Python.
"""

from __future__ import annotations

from collections.abc import Iterable

from cocotb.queue import Queue
from cocotb.simtime import get_sim_time
from cocotb.triggers import RisingEdge

from tritforge.device.streams import Result, result_of

CLOCK_NS = 10
RESULT_CYCLES = 2_000_000
"""Cycles after which a result is given up."""


def now() -> int:
    """The current clock cycle, by the simulator's clock."""
    return round(get_sim_time("ns") / CLOCK_NS)


class ImageSource:
    """Drives the image stream."""

    def __init__(self, dut) -> None:
        self.dut = dut
        dut.s_axis_tvalid.value = 0
        dut.s_axis_tlast.value = 0

    async def send(self, beats: Iterable[int], last: bool = False) -> None:
        """Send the beats of one image; ``last`` sets TLAST on the final one."""
        dut, words = self.dut, list(beats)
        for index, word in enumerate(words):
            dut.s_axis_tvalid.value = 1
            dut.s_axis_tdata.value = word
            dut.s_axis_tlast.value = int(last and index == len(words) - 1)
            await RisingEdge(dut.clk_i)
            while not dut.s_axis_tready.value:
                await RisingEdge(dut.s_axis_tready)
                await RisingEdge(dut.clk_i)
        dut.s_axis_tvalid.value = 0
        dut.s_axis_tlast.value = 0


class ResultSink:
    """Takes the result stream; ready unless a bench says otherwise."""

    def __init__(self, dut, classes: int) -> None:
        self.dut = dut
        self.classes = classes
        self.results: Queue[Result] = Queue()
        dut.m_axis_tready.value = 1

    async def run(self) -> None:
        """Collect results for ever."""
        dut = self.dut
        beats: list[int] = []
        while True:
            if not dut.m_axis_tvalid.value:
                await RisingEdge(dut.m_axis_tvalid)
            await RisingEdge(dut.clk_i)
            if not (dut.m_axis_tvalid.value and dut.m_axis_tready.value):
                continue
            beats.append(int(dut.m_axis_tdata.value))
            if len(beats) == self.classes + 1:
                self.results.put_nowait(result_of(beats, now(), bool(dut.m_axis_tlast.value)))
                beats = []
