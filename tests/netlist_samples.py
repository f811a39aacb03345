"""Cells of small netlists made by hand: registers, LUTs and carries on numbered nets, whose clock is net 1."""

from __future__ import annotations

from tritforge.rtl.netlist import Cell, Module
from tritforge.rtl.synthesis import Design, Unit

CLOCK: dict[str, tuple[str, list[int | str]]] = {"clk_i": ("input", [1])}


def flop(data: int | str, out: int, enable: int | str = "1", reset: int | str = "0") -> Cell:
    return Cell("FDRE", {}, {"C": [1], "CE": [enable], "R": [reset], "D": [data], "Q": [out]})


def lut(out: int, *inputs: int) -> Cell:
    return Cell(f"LUT{len(inputs)}", {}, {f"I{k}": [net] for k, net in enumerate(inputs)} | {"O": [out]})


def carry(below: int | str, out: int, propagate: list[int | str], first: int | str = "0") -> Cell:
    """Its last carry is ``out``; its sums are 900 above it, the other carries 950, 960 and 970 above."""
    pins = {"CI": [below], "CYINIT": [first], "DI": ["0"] * 4, "S": propagate}
    return Cell(
        "CARRY4", {}, pins | {"O": [900 + out + k for k in range(4)], "CO": [950 + out, 960 + out, 970 + out, out]}
    )


def dsp(out: int, registers: tuple[str, ...] = (), **inputs: int | str) -> Cell:
    """One that has these of its registers; ``out`` is the lowest bit of P."""
    every = ("AREG", "BREG", "CREG", "DREG", "MREG", "PREG", "OPMODEREG", "ALUMODEREG", "INMODEREG", "CARRYINREG")
    parameters = {name: f"{int(name in registers):032b}" for name in every}
    pins: dict[str, list[int | str]] = {"CLK": [1], "P": [out], "OPMODE": ["0"]}
    return Cell("DSP48E1", parameters, pins | {pin: [net] for pin, net in inputs.items()})


def single(
    cells: dict[str, Cell], names: dict[str, int], ports: dict[str, tuple[str, list[int | str]]] = CLOCK
) -> Design:
    """A design of one unit, whose nets have these names."""
    unit = Unit("top")
    return Design(unit, {unit: Module(ports, cells, {name: [net] for name, net in names.items()})}, {unit: {}})
