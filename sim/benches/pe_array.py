"""pe_array: windows, groups and reads at random; the sums of every pixel against a model of registers and sums."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import NDArray

from tritforge.overlay.parameters import TILE_SHAPES
from tritforge.sim.benches.common import start
from tritforge.sim.benches.pe import coded_sum
from tritforge.sim.benches.records import join, signed, split

CYCLES = 1400
TAPS = 9
LATENCY = 11
"""Cycles in which a group is under way after that of its weights."""
LANES = 4
MAX_SHIFT = 7


@dataclass
class Applied:
    """A group on its way: what it adds to which sum of every pixel, and whether the pass ends."""

    address: int = 0
    partials: tuple[int, ...] = ()
    last: bool = False


class TB:
    """Shadow and array windows of every PE, groups under way, and sums by address."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.numbers = np.random.default_rng(cocotb.RANDOM_SEED)
        self.pes, self.channels = int(dut.Pes.value), int(dut.GroupChannels.value)
        self.bits, self.outputs = int(dut.ActivationBits.value), int(dut.PassOutputs.value)
        self.rows, self.columns = TILE_SHAPES[self.pes]
        self.shadow = np.zeros((self.pes, TAPS, self.channels), dtype=np.int64)
        self.windows = self.shadow.copy()
        self.way: deque[Applied] = deque([Applied()] * LATENCY)
        self.done = False
        self.sums: dict[int, list[int]] = {}
        self.compared = 0
        self.reading: int | None = None  # quad whose sums leave in this cycle
        self.leaving: dict[int, list[int]] = {}

    def _drive_windows(self, take: NDArray, move: bool) -> NDArray:
        """Lanes of random activations; returns what each register would take."""
        dut = self.dut
        lanes = self.numbers.integers(0, 1 << self.bits, (self.rows, self.columns, self.channels))
        dut.lane_i.value = join((int(a) for a in lanes.reshape(-1)), self.bits)
        dut.take_i.value = join((int(t) for t in take.reshape(-1)), 1)
        dut.move_i.value = move
        offered = np.empty_like(self.shadow)
        for pixel in range(self.pes):
            for tap in range(TAPS):
                row, column = pixel // self.columns + tap // 3, pixel % self.columns + tap % 3
                offered[pixel, tap] = lanes[row % self.rows, column % self.columns]
        return offered

    def _drive_group(self, valid: bool) -> Applied:
        dut, source = self.dut, self.random
        codes, quad_shift = self.numbers.integers(0, 16, (self.channels // 2, TAPS)), source.random() < 0.5
        address, shift = source.randrange(2 * self.outputs), source.randrange(MAX_SHIFT + 1)
        last = source.random() < 0.2
        if source.random() < 0.5:
            address %= 12  # sums of many groups
        dut.weights_i.value = join((join(taps, 4) for taps in codes.tolist()), 36)
        dut.apply_valid_i.value, dut.apply_addr_i.value = valid, address
        dut.apply_shift_i.value, dut.apply_quad_shift_i.value, dut.apply_last_i.value = shift, quad_shift, last
        partials = tuple(coded_sum(codes, window, quad_shift) << shift for window in self.windows)
        return Applied(address, partials if valid else (), last)

    async def cycle(self, applies: bool) -> None:
        """One cycle of everything."""
        dut, source = self.dut, self.random
        take, move = self.numbers.random((self.pes, TAPS)) < 0.3, source.random() < 0.3
        offered = self._drive_windows(take, move)
        self.way.append(self._drive_group(applies))
        quad = source.choice((source.randrange(2 * self.outputs // LANES), source.randrange(3)))
        under_way = any(group.partials and group.address // LANES == quad for group in self.way)
        clears = source.random() < 0.3 and not under_way
        adds = self.way.popleft()
        dut.read_quad_i.value, dut.read_valid_i.value = quad, clears
        await ReadOnly()
        assert dut.pass_done_o.value == self.done
        width = len(dut.acc_o) // (LANES * self.pes)
        got = split(int(dut.acc_o.value), width, LANES * self.pes)
        for k in range(LANES if self.reading is not None else 0):
            expected = self.leaving.get(k)
            assert bool(int(dut.touched_o.value) >> k & 1) == (expected is not None)
            if expected is not None:
                assert [signed(value, width) for value in got[k::LANES]] == [signed(sum_, width) for sum_ in expected]
                self.compared += 1
        self.done = adds.last
        self.reading = None if under_way else quad
        self.leaving = {k: self.sums[LANES * quad + k] for k in range(LANES) if LANES * quad + k in self.sums}
        if clears:
            for k in range(LANES):
                self.sums.pop(LANES * quad + k, None)
        if adds.partials:
            before = self.sums.get(adds.address, [0] * self.pes)
            self.sums[adds.address] = [old + new for old, new in zip(before, adds.partials, strict=True)]
        if move:
            self.windows = self.shadow.copy()
        self.shadow = np.where(take[..., None], offered, self.shadow)
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_match_the_model(dut) -> None:
    """Groups apply to the windows of their cycle; untouched sums are told; a read empties its quad."""
    tb = TB(dut)
    dut.take_i.value = (1 << TAPS * tb.pes) - 1
    dut.lane_i.value = 0
    dut.move_i.value = 1
    for name in ("apply_valid", "apply_last", "read_valid", "read_quad"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut, cycles=4)
    for _ in range(CYCLES):
        await tb.cycle(tb.random.random() < 0.7)
    assert tb.compared > CYCLES // 8
