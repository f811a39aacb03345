"""The accelerator's streams in a cocotb simulation: images in, results out.

Both sides wait for edges of the handshake instead of looking at every cycle, so that long computations cost no Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from cocotb.queue import Queue
from cocotb.simtime import get_sim_time
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from tritforge.overlay.program import OverlayProgram

CLOCK_NS = 10


@dataclass(frozen=True)
class Result:
    """One result packet: its sequence number, network version, logits, and the clock cycle of its last beat."""

    sequence: int
    version: int
    logits: tuple[int, ...]
    cycle: int
    last: bool


def now() -> int:
    """The current clock cycle, by the simulator's clock."""
    return round(get_sim_time("ns") / CLOCK_NS)


def image_beats(program: OverlayProgram, image: NDArray) -> Iterator[int]:
    """Stream words of an image ``(C, H, W)``: pixels in raster order, four channel lanes a beat, lane 0 lowest."""
    bits = program.parameters.activation_bits
    channels, height, width = image.shape
    lanes = -(-channels // 4) * 4
    padded = np.zeros((lanes, height, width), dtype=np.uint64)
    padded[:channels] = image
    quads = padded.transpose(1, 2, 0).reshape(-1, 4)
    weights = np.uint64(1) << (np.arange(4, dtype=np.uint64) * np.uint64(bits))
    yield from (quads * weights).sum(axis=1, dtype=np.uint64).tolist()


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
                logits = tuple(beat - (1 << 64) if beat >> 63 else beat for beat in beats[1:])
                head, last = beats[0], bool(dut.m_axis_tlast.value)
                self.results.put_nowait(Result(head & 0xFFFFFFFF, head >> 32, logits, now(), last))
                beats = []
