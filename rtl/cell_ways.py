"""What a mapped cell does between two clock edges: ways through it, and what an edge launches from it or captures.

Each way, launch and capture names the figure of the delay tables that holds for it, as a group of cells and a figure
of that group (:mod:`tritforge.rtl.delays`). Reading a distributed memory or a shift register is a way; writing one is
captured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tritforge.rtl import dsp_ways
from tritforge.rtl.netlist import FLIP_FLOPS, LUTRAM, LUTS, SHIFT_REGISTERS, Cell, parameter

Bit = tuple[str, int]
"""A bit of a cell: the port, and the index in it."""

Figure = tuple[str, str]
"""A figure of the delay tables: the group of cells, and its name there."""


class Way(NamedTuple):
    """A combinational way through a cell."""

    source: Bit
    target: Bit
    figure: Figure


class Edge(NamedTuple):
    """A bit that a clock edge launches or captures."""

    bit: Bit
    figure: Figure


_DSP_RESULTS = "P|PCOUT|CARRYOUT|CARRYCASCOUT|MULTSIGNOUT|OVERFLOW|UNDERFLOW|PATTERNB?DETECT"
"""Outputs of a DSP that its adder drives."""

_OUTPUTS = {
    "lut": "O[56]?",
    "muxf7": "O",
    "muxf8": "O",
    "carry4": "C?O",
    "flip_flop": "Q",
    "srl": "Q|Q31",
    "lutram": "O|[SD]PO|DO[A-D]",
    "block_ram": "DO.*|CASCADEOUT.*|DBITERR|SBITERR|ECCPARITY|RDADDRECC",
    "dsp": f"{_DSP_RESULTS}|[AB]COUT",
}
"""By group, the pins that a cell drives."""

_CAPTURES = {
    "flip_flop": {"D": "setup_D", "CE": "setup_CE", "R|S|CLR|PRE": "setup_R_S"},
    "srl": {"D": "setup_D", "CE": "setup_CE"},
    "lutram": {"D|DI[A-D]": "setup_DI", r"A\d?|ADDRD": "setup_A", "WE": "setup_WE"},
    "block_ram": {"ADDR.*": "setup_ADDR", "DI.*": "setup_DI", "(EN|RST|REGCE).*": "setup_EN", "WE.*": "setup_WE"},
}
"""By group, the pins that a clock edge captures, with the figures of their set-up."""

_READS = {"DOA": "ADDRA", "DOB": "ADDRB", "DOC": "ADDRC", "DOD": "ADDRD", "O|SPO": r"A\d?", "DPO": r"DPRA\d?"}
"""By outputs of a distributed memory, the address that is read there."""

_CONTROLS = {
    "flip_flop": "C|CE|CLR|PRE|R|S",
    "srl": "CLK|CE",
    "lutram": "WCLK|WE",
    "block_ram": "((REG)?CLK|EN|RST|REGCE|WE).*",
    "dsp": "(CLK|CE|RST).*",
}
"""By group, clocks, resets, enables and write enables."""


@cache
def group(kind: str) -> str:
    """The group of the delay tables that a kind of cell belongs to.

    Raises:
        ValueError: no way through such a cell is known.
    """
    if kind in LUTS:
        return "lut"
    if kind in FLIP_FLOPS:
        return "flip_flop"
    if kind in LUTRAM:
        return "lutram"
    if kind in SHIFT_REGISTERS:
        return "srl"
    if kind in ("CARRY4", "MUXF7", "MUXF8"):
        return kind.lower()
    if kind.startswith("RAMB"):
        return "block_ram"
    if kind.startswith("DSP48"):
        return "dsp"
    raise ValueError(f"{kind} is a cell that no path is known through")


@cache
def is_output(kind: str, pin: str) -> bool:
    """Whether a kind of cell drives a pin."""
    return bool(re.fullmatch(_OUTPUTS[group(kind)], pin))


@cache
def is_control(kind: str, pin: str) -> bool:
    """Whether a pin of a kind of cell is a clock, a reset, an enable or a write enable."""
    return bool(re.fullmatch(_CONTROLS.get(group(kind), ""), pin))


def ways(cell: Cell) -> Iterator[Way]:
    """Combinational ways through a cell, bit by bit; those from constants are among them."""
    held = group(cell.kind)
    if held == "lut":
        yield from _lut_ways(cell)
    elif held in ("muxf7", "muxf8"):
        for pin in ("I0", "I1", "S"):
            yield Way((pin, 0), ("O", 0), (held, f"{pin[0]}->O"))
    elif held == "carry4":
        yield from _carry_ways(cell)
    elif held == "lutram":
        for outputs, addresses in _READS.items():
            yield from _every_way(cell, addresses, outputs, ("lutram", "address->O"))
    elif held == "srl":
        yield from _every_way(cell, r"A\d?", "Q", ("lut", "any_input->O6"))
    elif held == "dsp":
        for pin in dsp_ways.INPUTS:
            figure = dsp_ways.through(cell, pin)
            if figure:
                yield from _every_way(cell, pin, _DSP_RESULTS, ("dsp", figure))


def launches(cell: Cell) -> Iterator[Edge]:
    """Bits of a cell that follow a clock edge."""
    held = group(cell.kind)
    figure: str | None = {"flip_flop": "clk->Q", "srl": "clk->Q", "lutram": "clk->O", "block_ram": "clk->DO"}.get(held)
    if held == "dsp":
        figure = dsp_ways.launched(cell)
    for pin, bits in cell.connections.items():
        if figure and is_output(cell.kind, pin):
            buffered = held == "block_ram" and pin.startswith("DO") and parameter(cell, f"DO{_side(pin)}_REG", 0)
            name = "clk->DO_with_output_register" if buffered else figure
            yield from (Edge((pin, index), (held, name)) for index in range(len(bits)))


def captures(cell: Cell) -> Iterator[Edge]:
    """Bits of a cell that are taken at a clock edge."""
    held = group(cell.kind)
    for pin, bits in cell.connections.items():
        figure = _dsp_capture(cell, pin) if held == "dsp" else _capture(held, pin)
        if figure:
            yield from (Edge((pin, index), figure) for index in range(len(bits)))


def _capture(held: str, pin: str) -> Figure | None:
    for pattern, name in _CAPTURES.get(held, {}).items():
        if re.fullmatch(pattern, pin):
            return held, name
    return None


def _dsp_capture(cell: Cell, pin: str) -> Figure | None:
    """Enables and resets of a DSP's registers are taken for those of a flip-flop: the tables have none."""
    if pin in dsp_ways.INPUTS:
        name = dsp_ways.captured(cell, pin)
        return ("dsp", name) if name else None
    return _capture("flip_flop", {"CE": "CE", "RS": "R"}.get(pin[:2], ""))


def _side(pin: str) -> str:
    """Port A or B of a block RAM, of a pin such as DOADO or DOPBDOP."""
    return pin.removeprefix("DO").removeprefix("P")[0]


def _lut_ways(cell: Cell) -> Iterator[Way]:
    for pin in cell.connections:
        if not is_output(cell.kind, pin):
            for out in ("O", "O6"):
                if out in cell.connections:
                    yield Way((pin, 0), (out, 0), ("lut", "any_input->O6"))
            if "O5" in cell.connections and pin != "I5":  # the half of a LUT6_2 that its last input does not reach
                yield Way((pin, 0), ("O5", 0), ("lut", "any_input->O5"))


def _carry_ways(cell: Cell) -> Iterator[Way]:
    for out in ("O", "CO"):
        for high in range(len(cell.connections.get(out, []))):
            for pin in ("CI", "CYINIT"):
                yield Way((pin, 0), (out, high), ("carry4", f"{pin}->{out}{high}"))
            for low in range(high + 1):
                for pin in ("S", "DI"):
                    if (pin, out) != ("DI", "O") or low < high:  # a bit's DI goes into its carry, not into its sum
                        yield Way((pin, low), (out, high), ("carry4", f"{pin}{low}->{out}{high}"))


def _every_way(cell: Cell, inputs: str, outputs: str, figure: Figure) -> Iterator[Way]:
    """From every bit of some pins to every bit of others, each told by a pattern."""
    for source, bits in cell.connections.items():
        if re.fullmatch(inputs, source):
            for target, driven in cell.connections.items():
                if re.fullmatch(outputs, target):
                    for index in range(len(bits)):
                        yield from (Way((source, index), (target, end), figure) for end in range(len(driven)))
