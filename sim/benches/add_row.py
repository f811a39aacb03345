"""add_row: sums, and differences with their power of two."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import Timer

CASES = 2000


@cocotb.test()
async def rows_add_and_subtract(dut) -> None:
    """Random numbers and both ends of the range."""
    source = random.Random(cocotb.RANDOM_SEED)
    width = int(dut.Width.value)
    top = (1 << width) - 1
    for _ in range(CASES):
        x, y = (source.choice((source.getrandbits(width), 0, top)) for _ in range(2))
        relative = source.getrandbits(1)
        dut.x_i.value, dut.y_i.value, dut.relative_i.value = x, y, relative
        await Timer(1, "ns")
        assert dut.sum_o.value == (x - y + (1 << width) if relative else x + y)
