"""carry_chain: the recursion of carries, bit by bit."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import Timer

CASES = 2000


@cocotb.test()
async def carries_follow_their_recursion(dut) -> None:
    """Random bits, and long runs of those that propagate."""
    source = random.Random(cocotb.RANDOM_SEED)
    width = int(dut.Width.value)
    top = (1 << width) - 1
    for _ in range(CASES):
        propagate = source.choice((source.getrandbits(width), source.getrandbits(width), top))
        generate, carry = source.getrandbits(width), source.getrandbits(1)
        dut.propagate_i.value, dut.generate_i.value, dut.carry_i.value = propagate, generate, carry
        await Timer(1, "ns")
        total = 0
        for bit in range(width):
            total |= (propagate >> bit & 1 ^ carry) << bit
            carry = carry if propagate >> bit & 1 else generate >> bit & 1
        assert dut.sum_o.value == total and dut.carry_o.value == carry
