"""group_signs: relative signs, steering and offset of random groups, each in the cycle in which it is due."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import NDArray

from tritforge.sim.benches.records import Members, join, pack_record

TAPS = 9
LEVELS = 5
OFFSET_CYCLES = LEVELS + 3  # from the weights to the offset
CYCLES = 300

STEERING: Members = (
    ("fine", 2),
    ("coarse", 1),
    ("negative", 1),
    ("halves_shift", 1),
    ("halves_relative", 1),
    ("quads_shift", 1),
    ("quads_relative", 2),
)
STEERING_CYCLES = {
    "quads": LEVELS,
    "halves": LEVELS + 1,
    "negative": LEVELS + 2,
    "coarse": LEVELS + 2,
    "fine": LEVELS + 3,
}
"""Cycles from the weights to each field of the steering, by the first word of its name."""

Value = TypeVar("Value")


def fold(values: list[Value], add: Callable[[Value, Value], Value]) -> list[Value]:
    """The next level of a quad's values: pairs from the end, and the odd one out last."""
    count = len(values)
    sums = [add(values[count - 1 - 2 * row], values[count - 2 - 2 * row]) for row in range(count // 2)]
    return sums + values[: count % 2]


@dataclass(frozen=True)
class Signs:
    """What a group's weights tell the rows: relative signs by quad and level, steering, and the offset in units."""

    relative: list[list[list[int]]]
    steering: dict[str, int]
    offset: int


def group_signs(codes: NDArray, quad_shift: bool, shift: int) -> Signs:
    """Signs of a group of ``codes`` ``(C_g / 2, 9)``, from the rows' arithmetic."""
    relative: list[list[list[int]]] = []

    def add(x: tuple[int, int], y: tuple[int, int], power: int, shifts: int = 0) -> tuple[int, int]:
        """Sign and offset of a row's result from those of its two values; the row's own power of two in units."""
        differ = x[0] ^ y[0]
        rows.append(differ)
        second = y[1] << shifts
        return x[0], x[1] - second + power if differ else x[1] + second

    quads = []
    for quad in range(len(codes) // 2):
        values = [(int(code) >> 3, int(code) >> 2 & 1) for code in codes[2 * quad : 2 * quad + 2].reshape(-1)]
        relative.append([])
        for level in range(1, LEVELS + 1):
            rows: list[int] = []
            values = fold(values, partial(add, power=1 << level))
            relative[-1].append(rows)
        quads.append(values[0])
    rows = []
    halves = [add(quads[k], quads[k + 1], 1 << LEVELS + 2, int(quad_shift)) for k in range(0, len(quads), 2)]
    steering = {"quads_relative": sum(sign << k for k, sign in enumerate(rows)), "quads_shift": int(quad_shift)}
    rows = []
    total = add(halves[0], halves[1], 1 << LEVELS + 5, 2 * quad_shift) if len(halves) == 2 else halves[0]
    steering |= {"halves_relative": rows[0] if rows else 0, "halves_shift": int(quad_shift)}
    steering |= {"negative": total[0], "coarse": shift >> 2, "fine": shift & 3}
    return Signs(relative, steering, (total[1] if total[0] else -total[1]) << 4 * (shift >> 2))


def steering_due(way: deque[Signs]) -> int:
    """The steering record that group_signs gives, each field of the group it is due for; ``way`` has newest first."""
    return pack_record(STEERING, **{name: way[_cycles(name)].steering[name] for name, _ in STEERING})


def _cycles(name: str) -> int:
    return STEERING_CYCLES[name.split("_")[0]]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_row_gets_its_sign(dut) -> None:
    """One group a cycle, every code in every place: rows a cycle early, the offset in its own."""
    source = random.Random(cocotb.RANDOM_SEED)
    numbers = np.random.default_rng(cocotb.RANDOM_SEED)
    channels, bits = int(dut.GroupChannels.value), int(dut.ActivationBits.value)
    way: deque[Signs] = deque(maxlen=OFFSET_CYCLES + 1)  # newest first
    Clock(dut.clk_i, 10, "ns").start()
    await RisingEdge(dut.clk_i)
    for cycle in range(CYCLES):
        codes = numbers.integers(0, 16, (channels // 2, TAPS))
        if cycle % 4 == 0:
            codes[:] = cycle // 4 % 16
        quad_shift, shift = source.random() < 0.5, source.randrange(8)
        dut.weights_i.value = join((join(taps, 4) for taps in codes.tolist()), 36)
        dut.quad_shift_i.value, dut.shift_i.value = quad_shift, shift
        way.appendleft(group_signs(codes, quad_shift, shift))
        await ReadOnly()
        if cycle > OFFSET_CYCLES:
            quads = range(channels // 4)
            rows = [sign for quad in quads for k in range(LEVELS) for sign in way[k].relative[quad][k]]
            assert int(dut.relative_o.value) == join(rows, 1)
            assert int(dut.steering_o.value) == steering_due(way)
            assert int(dut.offset_o.value) == (way[OFFSET_CYCLES].offset << bits) % (1 << len(dut.offset_o))
        await RisingEdge(dut.clk_i)
