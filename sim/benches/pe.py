"""pe: the pair coding's own formula over random groups and windows, one a cycle and with gaps."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import NDArray

from tritforge.overlay.pair_coding import encode_words
from tritforge.sim.benches.common import PAUSES, pause
from tritforge.sim.benches.group_signs import LEVELS, STEERING, STEERING_CYCLES, Signs, group_signs
from tritforge.sim.benches.records import join, pack_record, signed

TAPS = 9
LATENCY = 9
"""Cycles from a group's pairs to its partial sum: one less than from its weights."""
CASES = 120
MAX_SHIFT = 7


def coded_sum(codes: NDArray, window: NDArray, quad_shift: bool) -> int:
    """``sum of (-1)**sign * (e1 * a1 + (-1)**relative * e2 * a2)``, quad q counted ``2**q`` times where asked.

    ``codes`` is ``(C_g / 2, 9)``, ``window`` ``(9, C_g)``.
    """
    total = 0
    for word, taps in enumerate(codes.tolist()):
        for tap, code in enumerate(taps):
            first, second = (int(a) for a in window[tap, 2 * word : 2 * word + 2])
            term = (code & 1) * first + (code >> 1 & 1) * second * (-1) ** (code >> 2 & 1)
            total += (-1) ** (code >> 3) * term * (1 << word // 2 if quad_shift else 1)
    return total


@dataclass(frozen=True)
class Group:
    """A group under way: what steers its rows, and its partial sum."""

    signs: Signs
    partial: int


class TB:
    """Issues groups with gaps; signs, steering and offset come to each stage with the group that is there."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.numbers = np.random.default_rng(cocotb.RANDOM_SEED)
        self.channels, self.bits = int(dut.GroupChannels.value), int(dut.ActivationBits.value)
        self.width = len(dut.partial_o)
        self.way: deque[Group | None] = deque([None] * LATENCY, maxlen=LATENCY)  # newest first
        self.compared = 0
        Clock(dut.clk_i, 10, "ns").start()

    def window(self) -> NDArray:
        """Random activations, or all of one value at an end of the range."""
        top = (1 << self.bits) - 1
        constant = self.random.choice((None, None, None, 0, top))
        shape = TAPS, self.channels
        return np.full(shape, constant) if constant is not None else self.numbers.integers(0, top + 1, shape)

    async def cycle(self, issue: tuple[NDArray, NDArray, bool, int] | None) -> None:
        """One cycle with a group ``(codes, window, quad shift, shift)`` or a gap, in which the inputs are noise."""
        dut = self.dut
        codes, window, quad_shift, shift = issue or (self.codes(), self.window(), False, 0)
        dut.pairs_i.value = join((int(code) & 7 for code in codes.reshape(-1)), 3)
        dut.window_i.value = join((int(a) for a in window.reshape(-1)), self.bits)
        leaving = self.way[-1]
        partial = coded_sum(codes, window, quad_shift) << shift
        self.way.appendleft(Group(group_signs(codes, quad_shift, shift), partial) if issue else None)
        self._drive_steering()
        await ReadOnly()
        if leaving:
            assert signed(int(dut.partial_o.value), self.width) == signed(leaving.partial, self.width)
            self.compared += 1
        await RisingEdge(dut.clk_i)

    def codes(self) -> NDArray:
        return self.numbers.integers(0, 16, (self.channels // 2, TAPS))

    def _at(self, stage: int) -> Signs:
        """Signs of the group at a stage, or noise where there is none."""
        group = self.way[stage]
        if group:
            return group.signs
        return group_signs(self.codes(), self.random.random() < 0.5, self.random.getrandbits(3))

    def _drive_steering(self) -> None:
        dut = self.dut
        levels = [self._at(level).relative for level in range(LEVELS)]
        rows = [sign for quad in range(self.channels // 4) for k in range(LEVELS) for sign in levels[k][quad][k]]
        dut.relative_i.value = join(rows, 1)
        due = {name: self._at(STEERING_CYCLES[name.split("_")[0]]).steering[name] for name, _ in STEERING}
        dut.steering_i.value = pack_record(STEERING, **due)
        offset = self._at(STEERING_CYCLES["negative"]).offset << self.bits
        dut.offset_i.value = offset % (1 << len(dut.offset_i))

    async def run(self, groups: list[tuple[NDArray, NDArray, bool, int]], gaps: str) -> None:
        """Issue all groups and wait for their sums."""
        await RisingEdge(self.dut.clk_i)
        active = pause(gaps, self.random)
        waiting = list(groups)
        while waiting:
            await self.cycle(waiting.pop(0) if next(active) else None)
        for _ in range(LATENCY + 1):
            await self.cycle(None)
        assert self.compared == len(groups)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(gaps=PAUSES)
async def sums_follow_the_pair_coding(dut, gaps: str) -> None:
    """Every code of a pair in every place, quads alike and shifted, every shift, activations to both ends."""
    tb = TB(dut)
    groups = []
    for case in range(2 * CASES):
        codes = tb.codes()
        if case % 4 == 0:  # one code everywhere: the largest and the smallest sums
            codes[:] = case // 4 % 16
        elif case % 4 == 1:  # one pair alone
            keep = tb.random.randrange(tb.channels // 2), tb.random.randrange(TAPS)
            alone = np.zeros_like(codes)
            alone[keep] = codes[keep]
            codes = alone
        groups.append((codes, tb.window(), tb.random.random() < 0.5, case % (MAX_SHIFT + 1)))
    await tb.run(groups, gaps)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def trits_give_their_dot_product(dut) -> None:
    """Groups as lowering codes them: the sum is the plain dot product of trits and activations."""
    tb = TB(dut)
    groups = []
    for _ in range(CASES):
        trits = tb.numbers.integers(-1, 2, (TAPS, tb.channels))
        window = tb.window()
        words = encode_words(trits[None])[0]
        codes = np.array([[int(word) >> 4 * tap & 15 for tap in range(TAPS)] for word in words])
        assert coded_sum(codes, window, False) == int((trits * window).sum())
        groups.append((codes, window, False, 0))
    await tb.run(groups, "none")
