"""Paths of a joined netlist: where they begin, the ways they take from net to net, and where they end.

A path begins at a port, a register or a memory and ends at one. How long it is depends on what is counted, levels or
delays: :func:`longest` takes either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from tritforge.errors import TritforgeError
from tritforge.rtl import dsp_ways
from tritforge.rtl.cell_ways import Bit, Figure, captures, group, is_output, launches, ways
from tritforge.rtl.flat_netlist import FlatNetlist, Net, PlacedCell

_BEFORE_REGISTERS = frozenset({"lut", "muxf7", "muxf8", "carry4"})
"""Groups of cells whose outputs have a flip-flop beside them."""

PORT: Figure = ("port", "")
"""What stands for the figure of a cell where a path begins or ends at a port of the design."""


class PathError(TritforgeError):
    """A netlist whose paths have no length."""


class Arc(NamedTuple):
    """A way through a cell: the net it comes from, its figure, the kind of cell, and whether a wire leads to it.

    No wire leads to a cell that has its driver beside it: a CARRY4 behind the one below or behind its LUTs, a MUXF
    behind its LUTs, a flip-flop behind its LUT, MUXF or CARRY4, a DSP of a cascade.
    """

    source: Net
    figure: Figure
    kind: str
    wired: bool


class Start(NamedTuple):
    """Where a path begins: its figure and the kind of cell."""

    figure: Figure
    kind: str


class End(NamedTuple):
    """An end of a path: the net it comes over, figure, kind of cell, pin, whether a wire leads to it, and its name."""

    source: Net
    figure: Figure
    kind: str
    pin: str
    wired: bool
    name: str


@dataclass(frozen=True)
class PathGraph:
    """Paths of a netlist; ``into`` has the ways that lead to each net, every net after those that it follows."""

    into: dict[Net, list[Arc]]
    starts: dict[Net, Start]
    ends: list[End]


class Reached(NamedTuple):
    """The longest path to a net: its length, the net where it begins, and the last way on it, if there is one."""

    length: int
    start: Net
    arc: Arc | None


def path_graph(flat: FlatNetlist) -> PathGraph:
    """Find the paths of a netlist.

    Raises:
        PathError: a way leads back to where it came from.
    """
    neighbours = _Neighbours(flat)
    into: dict[Net, list[Arc]] = {}
    starts = {net: Start(PORT, "port") for net in flat.inputs}
    ends: list[End] = []
    for placed in flat.cells:
        kind = placed.cell.kind
        for way in ways(placed.cell):
            source, target = placed.net(way.source), placed.net(way.target)
            if source is not None and target is not None:
                wired = not neighbours.drive(placed, way.source, source)
                into.setdefault(target, []).append(Arc(source, way.figure, kind, wired))
        for bit, figure in launches(placed.cell):
            net = placed.net(bit)
            if net is not None:
                starts[net] = Start(figure, kind)
        for bit, figure in captures(placed.cell):
            net = placed.net(bit)
            if net is not None:
                wired = not neighbours.drive(placed, bit, net)
                ends.append(End(net, figure, kind, bit[0], wired, _own_name(flat, placed)))
    ends += [End(net, PORT, "port", "", True, flat.name(net)) for net in flat.outputs]
    return PathGraph(_in_order(into, flat), starts, ends)


def longest(graph: PathGraph, launch: Callable[[Start], int], way: Callable[[Arc], int]) -> dict[Net, Reached]:
    """The longest path to every net that one leads to; of equally long ones the first in the netlist.

    Args:
        graph: paths.
        launch: length at which a path begins.
        way: length of a way, with the wire that leads to it.
    """
    reached = {net: Reached(launch(start), net, None) for net, start in graph.starts.items()}
    for net, arcs in graph.into.items():
        best = reached.get(net)
        for arc in arcs:
            before = reached.get(arc.source)
            if before is not None:
                length = before.length + way(arc)
                if best is None or length > best.length:
                    best = Reached(length, before.start, arc)
        if best is not None:
            reached[net] = best
    return reached


def trace(reached: Mapping[Net, Reached], net: Net) -> list[tuple[Arc, Net]]:
    """The ways of the longest path to a net, from its start on, each with the net that it leads to."""
    found: list[tuple[Arc, Net]] = []
    arc = reached[net].arc
    while arc is not None:
        found.append((arc, net))
        net = arc.source
        arc = reached[net].arc
    return found[::-1]


class _Neighbours:
    """Cells that lie beside what drives them, so that no wire of the fabric is between them.

    Of the CARRY4 bits, and of the flip-flops, that listen to a cell, one can lie beside it: where there are more, none
    is taken to.
    """

    def __init__(self, flat: FlatNetlist) -> None:
        self._drivers: dict[Net, PlacedCell] = {}
        for placed in flat.cells:
            for pin, nets in placed.pins.items():
                if is_output(placed.cell.kind, pin):
                    self._drivers.update((net, placed) for net in nets if net is not None)
        self._carries: dict[PlacedCell, set[tuple[PlacedCell, int]]] = {}
        self._registers: Counter[Net] = Counter()
        for placed in flat.cells:
            held = group(placed.cell.kind)
            if held == "carry4":
                for index, net in enumerate(placed.pins["S"]):
                    if net in self._drivers:
                        self._carries.setdefault(self._drivers[net], set()).add((placed, index))
            elif held == "flip_flop":
                self._registers.update(net for net in placed.pins["D"] if net is not None)

    def drive(self, placed: PlacedCell, bit: Bit, net: Net) -> bool:
        """Whether what drives a net lies beside a cell that has it on a bit."""
        driver = self._drivers.get(net)
        if driver is None:
            return False
        pin, index = bit
        above, below = group(driver.cell.kind), group(placed.cell.kind)
        if below == "carry4":
            if above == "lut":
                return pin in ("S", "DI") and self._carries.get(driver) == {(placed, index)}
            return above == "carry4" and pin == "CI"
        if below == "flip_flop":
            return above in _BEFORE_REGISTERS and pin == "D" and self._registers[net] == 1
        if below in ("muxf7", "muxf8"):
            return above in ("lut", "muxf7") and pin != "S"
        return above == below == "dsp" and pin in dsp_ways.CASCADES


def _own_name(flat: FlatNetlist, placed: PlacedCell) -> str:
    """What a register or memory is called: the net that it drives, or where it has none, its kind."""
    for pin, nets in placed.pins.items():
        if is_output(placed.cell.kind, pin):
            for net in nets:
                if net is not None:
                    return flat.name(net)
    return placed.cell.kind


def _in_order(into: Mapping[Net, list[Arc]], flat: FlatNetlist) -> dict[Net, list[Arc]]:
    """The same ways, every net after those that it follows."""
    sorter = TopologicalSorter({net: {arc.source for arc in arcs} for net, arcs in into.items()})
    try:
        return {net: into[net] for net in sorter.static_order() if net in into}
    except CycleError as error:
        loop = {flat.name(net) for net in error.args[1]}
        raise PathError(f"a combinational loop goes through {', '.join(sorted(loop)[:4])}") from None
