"""adder_tree: every level's registers together hold the sum of what entered them, whatever the enables do."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from tritforge.sim.benches.records import bits, join, signed

CYCLES = 600


class TB:
    """Random numbers in, and the sum that each level holds."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.random = random.Random(cocotb.RANDOM_SEED)
        self.inputs, self.width = int(dut.Inputs.value), int(dut.Width.value)
        self.levels = (self.inputs - 1).bit_length()
        self.sums: list[int | None] = [None] * self.levels
        Clock(dut.clk_i, 10, "ns").start()

    def numbers(self) -> list[int]:
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        ends = self.random.choice(((low, high), (low, low), (high, high), (-1, 0)))
        if self.random.random() < 0.3:
            return [self.random.choice(ends) for _ in range(self.inputs)]
        return [self.random.randint(low, high) for _ in range(self.inputs)]

    async def cycle(self, chance: float) -> None:
        """One cycle in which each level takes new sums with this chance."""
        dut, numbers = self.dut, self.numbers()
        enables = [self.random.random() < chance for _ in range(self.levels)]
        dut.data_i.value, dut.en_i.value = join(numbers, self.width), bits(enables)
        await ReadOnly()
        expected = self.sums[-1]
        if expected is not None:
            assert signed(int(dut.sum_o.value), len(dut.sum_o)) == expected
        entering = [sum(numbers), *self.sums[:-1]]
        self.sums = [new if en else old for en, new, old in zip(enables, entering, self.sums, strict=True)]
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(chance=[1.0, 0.7])
async def levels_hold_the_sum(dut, chance: float) -> None:
    """Numbers to both ends of their range, one set a cycle or as the enables let them."""
    tb = TB(dut)
    await RisingEdge(dut.clk_i)
    for _ in range(CYCLES):
        await tb.cycle(chance)
    assert tb.sums[-1] is not None
