"""A DSP48E1 as its registers leave it: which inputs one of them takes, and which go through to the outputs.

A register whose parameter is 0 is bypassed. Inputs are those of the multiplier (A, B, D), of the adder behind it, and
of the cascade; a DSP that multiplies nothing hands A and B to the adder. Inputs that choose an operation go the way of
what they act on. What happens between two registers of one DSP is no path here.
"""

from __future__ import annotations

from tritforge.rtl.netlist import Cell, parameter

MULTIPLIER, ADDER, CASCADE = "multiplier", "adder", "cascade"

INPUTS = {
    "A": ("AREG", MULTIPLIER),
    "ACIN": ("AREG", MULTIPLIER),
    "B": ("BREG", MULTIPLIER),
    "BCIN": ("BREG", MULTIPLIER),
    "D": ("DREG", MULTIPLIER),
    "INMODE": ("INMODEREG", MULTIPLIER),
    "C": ("CREG", ADDER),
    "CARRYIN": ("CARRYINREG", ADDER),
    "CARRYINSEL": ("CARRYINSELREG", ADDER),
    "OPMODE": ("OPMODEREG", ADDER),
    "ALUMODE": ("ALUMODEREG", ADDER),
    "PCIN": ("", CASCADE),
    "CARRYCASCIN": ("", CASCADE),
    "MULTSIGNIN": ("", CASCADE),
}
"""By input, its own register and the part of the DSP that it enters."""

CASCADES = frozenset({"ACIN", "BCIN", "PCIN", "CARRYCASCIN", "MULTSIGNIN"})
"""Inputs that the DSP below drives, over no wire of the fabric."""

_INPUT_REGISTER = {MULTIPLIER: "setup_A_B_with_input_register", ADDER: "setup_C_with_register"}
_OUTPUT_REGISTER = {MULTIPLIER: "setup_A_B_PREG_only", ADDER: "setup_C_PREG", CASCADE: "setup_PCIN_PREG"}
_THROUGH = {MULTIPLIER: "A_B_D->P_unregistered", ADDER: "C->P", CASCADE: "PCIN->P"}


def captured(cell: Cell, pin: str) -> str | None:
    """The figure of an input's set-up before the first register that takes it; None where no register does."""
    register, part = INPUTS[pin]
    if register and _registered(cell, register):
        return _INPUT_REGISTER[part]
    part = _part(cell, pin)
    if part == MULTIPLIER and _registered(cell, "MREG"):
        return "setup_A_B_MREG"
    return _OUTPUT_REGISTER[part] if _registered(cell, "PREG") else None


def through(cell: Cell, pin: str) -> str | None:
    """The figure of the way from an input to the outputs; None where a register takes the input."""
    return None if captured(cell, pin) else _THROUGH[_part(cell, pin)]


def launched(cell: Cell) -> str | None:
    """The figure of the slowest register that the outputs follow; None where everything goes through."""
    if _registered(cell, "PREG"):
        return "clk->P_PREG"
    parts = {
        _part(cell, pin)
        for pin in INPUTS
        if captured(cell, pin) and any(isinstance(bit, int) for bit in cell.connections.get(pin, []))
    }
    if MULTIPLIER in parts and not _registered(cell, "MREG"):
        return "clk->P_no_PREG_no_MREG"
    return "clk->P_MREG" if parts else None


def _part(cell: Cell, pin: str) -> str:
    part = INPUTS[pin][1]
    return ADDER if part == MULTIPLIER and cell.parameters.get("USE_MULT", "MULTIPLY") == "NONE" else part


def _registered(cell: Cell, register: str) -> bool:
    return bool(parameter(cell, register, 1))
