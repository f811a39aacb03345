"""requantiser: the rule in whole numbers, a value a cycle, at and around every rounding and clamping edge."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import signed

LOGIT_DELAY, DELAY = 4, 5
CASES = 40
Case = tuple[int, int, int, int]
"""Accumulator, M, B, residual."""


SUM_BITS = 48


class TB:
    """A value a cycle, with one shift and one residual multiplier for a run of them, as in a layer."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.top = (1 << int(dut.ActivationBits.value)) - 1
        self.acc_bits = len(dut.acc_i)
        Clock(dut.clk_i, 10, "ns").start()

    def total(self, case: Case, factor: int) -> int:
        accumulator, multiplier, bias, residual = case
        return multiplier * accumulator + bias + factor * residual

    def case(self, shift: int, factor: int) -> Case:
        """Random values; mostly with a bias that brings the sum next to a step of the rounded result."""
        source = self.random
        magnitude = source.choice((4, 12, 20, self.acc_bits))
        accumulator = signed(source.getrandbits(magnitude), magnitude) if source.random() < 0.9 else 0
        multiplier = source.choice((-(1 << 15), (1 << 15) - 1, 1, 0, signed(source.getrandbits(16), 16)))
        residual = source.choice((0, self.top, source.randint(0, self.top)))
        half = (1 << shift) >> 1
        step = source.choice((0, 0, 1, self.top - 1, self.top, self.top, self.top + 1, source.randint(0, self.top)))
        target = (step << shift) - half + source.choice((-1, 0, 1, half - 1, half))
        if source.random() < 0.3:
            target = source.choice((-1, 1)) << source.randrange(SUM_BITS - 1)
        if source.random() < 0.1:
            target = source.choice((-(1 << SUM_BITS - 1), (1 << SUM_BITS - 1) - 1)) - half
        product = self.total((accumulator, multiplier, 0, residual), factor)
        # Bias and sum have 48 bits each.
        limit = 1 << SUM_BITS - 1
        low, high = max(-limit, -limit - product), min(limit - 1 - half, limit - 1 - half - product)
        return accumulator, multiplier, min(max(target - product, low), high), residual

    async def layer(self, cases: list[Case], shift: int, factor: int) -> None:
        """Run values through the device and compare each when it comes out; some pixels are beside the map."""
        dut, half, noise = self.dut, (1 << shift) >> 1, self.random.getrandbits
        beside = [self.random.random() < 0.1 for _ in cases]
        bits = self.top.bit_length()
        for cycle in range(len(cases) + DELAY):
            accumulator, multiplier, _, _ = cases[cycle] if cycle < len(cases) else cases[0]
            empty = accumulator == 0 and cycle % 2 == 0
            dut.acc_i.value, dut.multiplier_i.value = noise(4) if empty else accumulator, multiplier
            dut.empty_i.value = empty
            # Every input has its stage, and noise at other times.
            dut.residual_i.value, dut.residual_multiplier_i.value = noise(2 * bits), noise(16)
            dut.bias_i.value, dut.shift_i.value, dut.beside_i.value = noise(48), noise(5), noise(1)
            if 0 <= cycle - 1 < len(cases):
                dut.residual_i.value = cases[cycle - 1][3] << bits * noise(1)
                dut.residual_multiplier_i.value = factor
            if 0 <= cycle - 2 < len(cases):
                dut.bias_i.value = cases[cycle - 2][2] + half & (1 << SUM_BITS) - 1
            if 0 <= cycle - 3 < len(cases):
                dut.shift_i.value = shift
            if 0 <= cycle - 4 < len(cases):
                dut.beside_i.value = beside[cycle - 4]
            await ReadOnly()
            if 0 <= cycle - LOGIT_DELAY < len(cases):
                total = self.total(cases[cycle - LOGIT_DELAY], factor) + half
                assert signed(int(dut.logit_o.value), 48) == total
            if cycle >= DELAY:
                exact = (self.total(cases[cycle - DELAY], factor) + half) >> shift
                expected = 0 if beside[cycle - DELAY] else min(max(exact, 0), self.top)
                assert int(dut.activation_o.value) == expected, (cases[cycle - DELAY], shift, factor)
            await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(factor=[0, 1, 40001, 65535])
async def activations_follow_the_rule(dut, factor: int) -> None:
    """Every shift, with residual multipliers from none to the largest."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    for shift in range(32):
        await tb.layer([tb.case(shift, factor) for _ in range(CASES)], shift, factor)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def logits_leave_unshifted(dut) -> None:
    """With neither shift nor residual the sum is the logit, for products at both ends too."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    low = -(1 << tb.acc_bits - 1)
    ends = [
        (acc, m, signed(tb.random.getrandbits(48), 48) >> 3, 0)
        for acc in (low, low + 1, -1, 0, 1, ~low)
        for m in (-(1 << 15), -1, 0, 1, (1 << 15) - 1)
    ]
    await tb.layer(ends + [tb.case(0, 0) for _ in range(8 * CASES)], 0, 0)
