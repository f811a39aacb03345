"""pair_row: a pair's enables and relative sign."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import Timer

CASES = 2000


@cocotb.test()
async def pairs_follow_their_coding(dut) -> None:
    """Every pair code, canonical or not, random activations and both ends of the range."""
    source = random.Random(cocotb.RANDOM_SEED)
    width = int(dut.Width.value)
    top = (1 << width) - 1
    for _ in range(CASES):
        first, second = (source.choice((source.getrandbits(width), 0, top)) for _ in range(2))
        pair = source.getrandbits(3)
        dut.first_i.value, dut.second_i.value, dut.pair_i.value = first, second, pair
        await Timer(1, "ns")
        x, y = first * (pair & 1), second * (pair >> 1 & 1)
        assert dut.sum_o.value == (x - y + (1 << width) if pair >> 2 else x + y)
