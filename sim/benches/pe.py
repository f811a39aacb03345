"""pe: the pair coding's own formula over random groups and windows, one a cycle and with gaps."""

from __future__ import annotations

import random
from collections import deque

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import NDArray

from tritforge.pair_coding import encode_words
from tritforge.sim.benches.common import PAUSES, pause
from tritforge.sim.benches.records import join, signed

TAPS = 9
LATENCY = 9
MAX_SHIFT = 7
CASES = 120


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


class TB:
    """Issues groups with gaps; each stage is enabled in the cycle in which a group reaches it."""

    def __init__(self, dut, quad_shift: bool) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.numbers = np.random.default_rng(cocotb.RANDOM_SEED)
        self.channels, self.bits = int(dut.GroupChannels.value), int(dut.ActivationBits.value)
        self.quad_shift = quad_shift
        self.width = len(dut.partial_o)
        self.way: deque[tuple[int, int] | None] = deque([None] * LATENCY)  # expected sum and shift, newest first
        self.compared = 0
        self.last: int | None = None
        dut.quad_shift_i.value = quad_shift
        Clock(dut.clk_i, 10, "ns").start()

    def window(self) -> NDArray:
        """Random activations, or all of one value at an end of the range."""
        top = (1 << self.bits) - 1
        constant = self.random.choice((None, None, None, 0, top))
        shape = TAPS, self.channels
        return np.full(shape, constant) if constant is not None else self.numbers.integers(0, top + 1, shape)

    async def cycle(self, issue: tuple[NDArray, NDArray, int] | None) -> None:
        """One cycle with a group ``(codes, window, shift)`` or a gap, in which the inputs are noise."""
        dut = self.dut
        codes, window, shift = issue or (self.numbers.integers(0, 16, (self.channels // 2, TAPS)), self.window(), 0)
        dut.weights_i.value = join((join(taps, 4) for taps in codes.tolist()), 36)
        dut.window_i.value = join((int(a) for a in window.reshape(-1)), self.bits)
        self.way.appendleft((coded_sum(codes, window, self.quad_shift), shift) if issue else None)
        leaving = self.way.pop()
        stages = [self.way[stage] is not None for stage in range(LATENCY)]
        dut.en_i.value = sum(1 << stage for stage, enabled in enumerate(stages) if enabled)
        at_shift = self.way[LATENCY - 1]
        dut.shift_i.value = at_shift[1] if at_shift else self.random.getrandbits(3)
        if leaving:
            self.last = signed(leaving[0] << leaving[1], self.width)
            self.compared += 1
        await ReadOnly()
        if self.last is not None:
            assert signed(int(dut.partial_o.value), self.width) == self.last
        await RisingEdge(dut.clk_i)

    async def run(self, groups: list[tuple[NDArray, NDArray, int]], gaps: str) -> None:
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
@cocotb.parametrize(gaps=PAUSES, quad_shift=[False, True])
async def sums_follow_the_pair_coding(dut, gaps: str, quad_shift: bool) -> None:
    """Every code of a pair in every place, every shift, activations to both ends."""
    tb = TB(dut, quad_shift)
    groups = []
    for case in range(CASES):
        codes = tb.numbers.integers(0, 16, (tb.channels // 2, TAPS))
        if case % 4 == 0:  # one code everywhere: the largest and the smallest sums
            codes[:] = case // 4 % 16
        elif case % 4 == 1:  # one pair alone
            keep = tb.random.randrange(tb.channels // 2), tb.random.randrange(TAPS)
            alone = np.zeros_like(codes)
            alone[keep] = codes[keep]
            codes = alone
        groups.append((codes, tb.window(), case % (MAX_SHIFT + 1)))
    await tb.run(groups, gaps)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def trits_give_their_dot_product(dut) -> None:
    """Groups as lowering codes them: the sum is the plain dot product of trits and activations."""
    tb = TB(dut, False)
    groups = []
    for _ in range(CASES):
        trits = tb.numbers.integers(-1, 2, (TAPS, tb.channels))
        window = tb.window()
        words = encode_words(trits[None])[0]
        codes = np.array([[int(word) >> 4 * tap & 15 for tap in range(TAPS)] for word in words])
        assert coded_sum(codes, window, False) == int((trits * window).sum())
        groups.append((codes, window, 0))
    await tb.run(groups, "none")
