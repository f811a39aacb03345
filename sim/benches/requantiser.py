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


class TB:
    """A value a cycle, with one shift and one residual multiplier for a run of them, as in a layer."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.top = (1 << int(dut.ActivationBits.value)) - 1
        Clock(dut.clk_i, 10, "ns").start()

    def total(self, case: Case, factor: int) -> int:
        accumulator, multiplier, bias, residual = case
        return multiplier * accumulator + bias + factor * residual

    def case(self, shift: int, factor: int) -> Case:
        """Random values; mostly with a bias that brings the sum next to a step of the rounded result."""
        source = self.random
        magnitude = source.choice((4, 12, 20, 32))
        accumulator = signed(source.getrandbits(magnitude), magnitude)
        multiplier = source.choice((-(1 << 15), (1 << 15) - 1, 1, 0, signed(source.getrandbits(16), 16)))
        residual = source.choice((0, self.top, source.randint(0, self.top)))
        half = (1 << shift) >> 1
        step = source.choice((0, 0, 1, self.top - 1, self.top, self.top, self.top + 1, source.randint(0, self.top)))
        target = (step << shift) - half + source.choice((-1, 0, 1, half - 1, half))
        bias = target - self.total((accumulator, multiplier, 0, residual), factor)
        if not -(1 << 47) <= bias < 1 << 47 or source.random() < 0.1:
            bias = source.choice((-(1 << 47), (1 << 47) - 1, signed(source.getrandbits(48), 48)))
        return accumulator, multiplier, bias, residual

    async def layer(self, cases: list[Case], shift: int, factor: int) -> None:
        """Run values through the device and compare each when it comes out."""
        dut, half = self.dut, (1 << shift) >> 1
        dut.shift_i.value, dut.residual_multiplier_i.value = shift, factor
        for cycle in range(len(cases) + DELAY):
            accumulator, multiplier, bias, residual = cases[cycle] if cycle < len(cases) else cases[0]
            dut.acc_i.value, dut.multiplier_i.value = accumulator, multiplier
            dut.bias_i.value, dut.residual_i.value = bias, residual
            await ReadOnly()
            if shift == factor == 0 and 0 <= cycle - LOGIT_DELAY < len(cases):
                logit = self.total(cases[cycle - LOGIT_DELAY], 0)
                assert signed(int(dut.logit_o.value), 48) == signed(logit, 48)
            if cycle >= DELAY:
                exact = (self.total(cases[cycle - DELAY], factor) + half) // (1 << shift)
                expected = min(max(exact, 0), self.top)
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
    low = -(1 << 31)
    ends = [
        (acc, m, signed(tb.random.getrandbits(48), 48) >> 3, 0)
        for acc in (low, low + 1, -1, 0, 1, ~low)
        for m in (-(1 << 15), -1, 0, 1, (1 << 15) - 1)
    ]
    await tb.layer(ends + [tb.case(0, 0) for _ in range(8 * CASES)], 0, 0)
