"""Mapped netlists of Yosys for 7-series: cells counted by what they take on the chip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LUTRAM = {
    **{f"RAM{depth}X1S": depth // 64 or 1 for depth in (16, 32, 64, 128, 256)},
    **{f"RAM{depth}X1D": 2 * (depth // 64 or 1) for depth in (16, 32, 64, 128)},
    "RAM32M": 4,
    "RAM64M": 4,
}
"""LUTs that a distributed memory takes."""

SHIFT_REGISTERS = frozenset({"SRL16E", "SRLC16E", "SRLC32E"})
FLIP_FLOPS = frozenset({"FDRE", "FDSE", "FDCE", "FDPE"})
LUTS = frozenset({*(f"LUT{inputs}" for inputs in range(1, 7)), "LUT6_2", "INV"})
"""Cells of one LUT. An inverter that nothing absorbed counts as one; so does a LUT6 with both outputs used."""

BLOCK_RAM = {"RAMB36E1": 1.0, "RAMB18E1": 0.5}


@dataclass(frozen=True)
class Cell:
    """A cell: its type, parameters, and the bits on each port (net numbers, or ``"0"``, ``"1"``, ``"x"``)."""

    kind: str
    parameters: Mapping[str, Any]
    connections: Mapping[str, list[int | str]]


def parameter(cell: Cell, name: str, default: int) -> int:
    """A number among a cell's parameters, or the default of the primitive where it is not given."""
    value = cell.parameters.get(name, default)
    return int(value, 2) if isinstance(value, str) else int(value)


@dataclass(frozen=True)
class Module:
    """A flat netlist: bits of the ports with their directions, cells, and the bits of every named net."""

    ports: Mapping[str, tuple[str, list[int | str]]]
    cells: Mapping[str, Cell]
    names: Mapping[str, list[int | str]]


@dataclass(frozen=True)
class Area:
    """What a netlist takes: LUTs of logic, memory and shift registers, FFs, carry, block RAM of 36 Kbit, DSPs.

    ``carry_sites`` are the bits of CARRY4 that a LUT stands before; the others only carry in or out.
    """

    lut_logic: int = 0
    lutram: int = 0
    srl: int = 0
    ff: int = 0
    carry4: int = 0
    carry_sites: int = 0
    bram36: float = 0.0
    dsp: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __mul__(self, count: int) -> Area:
        return Area(*(getattr(self, name) * count for name in self.__dataclass_fields__))

    @property
    def lut(self) -> int:
        """All LUTs."""
        return self.lut_logic + self.lutram + self.srl


def read_modules(path: Path) -> dict[str, Module]:
    """Modules of a Yosys JSON netlist, without those that only declare a cell of the library."""
    document = json.loads(path.read_bytes())
    return {
        name: Module(
            {port: (entry["direction"], entry["bits"]) for port, entry in module["ports"].items()},
            {
                cell: Cell(entry["type"], entry["parameters"], entry["connections"])
                for cell, entry in module["cells"].items()
            },
            {net: entry["bits"] for net, entry in module["netnames"].items() if not entry["hide_name"]},
        )
        for name, module in document["modules"].items()
        if not {"blackbox", "whitebox"} & set(module["attributes"])
    }


def area(module: Module) -> Area:
    """Area of a module's own cells, without the units it instantiates."""
    kinds = Counter(cell.kind for cell in module.cells.values())
    return Area(
        lut_logic=sum(kinds[kind] for kind in LUTS),
        lutram=sum(count * kinds[kind] for kind, count in LUTRAM.items()),
        srl=sum(kinds[kind] for kind in SHIFT_REGISTERS),
        ff=sum(kinds[kind] for kind in FLIP_FLOPS),
        carry4=kinds["CARRY4"],
        carry_sites=sum(
            isinstance(bit, int)
            for cell in module.cells.values()
            if cell.kind == "CARRY4"
            for bit in cell.connections["S"]
        ),
        bram36=sum(size * kinds[kind] for kind, size in BLOCK_RAM.items()),
        dsp=kinds["DSP48E1"],
    )
