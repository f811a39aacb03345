"""Static timing of a synthesised design, an estimate: what ``tritforge bench timing`` tells.

Every path from a register, memory or port to the next is as long as its cells and wires. Nothing is placed: cells have
the delays of the slow corner, wires a delay by their fan-out alone, the clock reaches all registers at once. What comes
of it compares designs and names their slow paths; it is no timing closure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from tritforge.rtl.delays import WireModel, read_delays
from tritforge.rtl.flat_netlist import FlatNetlist, flatten
from tritforge.rtl.path_graph import PORT, Arc, End, PathGraph, longest, path_graph, trace
from tritforge.rtl.synthesis import Design, Unit, own_parameters, synthesise

NOTE = (
    "an estimate, no timing closure: nothing is placed, cells have the delays of the slow corner, those of DSPs are"
    " rough, and a wire has a delay by its fan-out alone"
)

PERIODS_NS = (10.0, 8.0, 7.0, 6.67)
"""Clock periods that endpoints are held against."""

WORST_PATHS = 10


@dataclass(frozen=True)
class Step:
    """A cell on a path: the net that it drives or captures, its delay, and that of the wire to it, in ns."""

    cell: str
    net: str
    wire_ns: float
    cell_ns: float


@dataclass(frozen=True)
class TimingPath:
    """The slowest of the paths between two registers, over all their bits and copies.

    Attributes:
        start: net where it begins.
        end: register, memory or port where it ends.
        pin: pin that captures it there, empty at a port.
        delay_ns: from clock edge to clock edge, set-up included; the sum of the steps.
        endpoints: endpoints of which the slowest path is one between the same two.
        steps: cells from the one that launches it to the one that captures it; a port is a step without delay.
    """

    start: str
    end: str
    pin: str
    delay_ns: float
    endpoints: int
    steps: list[Step]

    @property
    def wires_ns(self) -> float:
        """The part of the delay that is wires."""
        return round(sum(step.wire_ns for step in self.steps), 3)

    def cells(self) -> str:
        """Kinds of the cells that it goes through, from its start to its end."""
        runs = [(kind, len(list(run))) for kind, run in groupby(step.cell for step in self.steps)]
        return " ".join(kind if count == 1 else f"{kind}×{count}" for kind, count in runs)


@dataclass(frozen=True)
class Timing:
    """Timing with one model of wires.

    Attributes:
        endpoints: bits of pins, and ports, that a path leads to.
        worst_ns: delay of the slowest path.
        misses: by period in ns, how many endpoints are slower.
        paths: the slowest first, one for each pair of registers.
    """

    endpoints: int
    worst_ns: float
    misses: Mapping[float, int]
    paths: list[TimingPath]

    @property
    def mhz(self) -> float:
        """The clock rate that the slowest path implies."""
        return round(1000 / self.worst_ns, 1) if self.worst_ns else 0.0


@dataclass(frozen=True)
class TimingReport:
    """Timing of a design with each model of wires, by its name."""

    top: Unit
    by_wires: Mapping[str, Timing]

    def metrics(self) -> dict[str, Any]:
        """Metrics of the result file."""
        delays = read_delays()
        found: dict[str, Any] = {"note": NOTE, "corner": delays.corner, "delays": delays.source}
        found |= {"module": self.top.module, "parameters": dict(self.top.parameters)}
        for name, timing in self.by_wires.items():
            found[name] = {
                "wires_ps": asdict(delays.wires[name]),
                "endpoints": timing.endpoints,
                "worst_ns": timing.worst_ns,
                "mhz": timing.mhz,
                "misses": {f"{period:g}": count for period, count in timing.misses.items()},
                "paths": [asdict(path) | {"wires_ns": path.wires_ns, "cells": path.cells()} for path in timing.paths],
            }
        return found


def timing_report(
    module: str, parameters: Mapping[str, int], advance: Callable[[str], None] = lambda unit: None
) -> TimingReport:
    """Synthesise a module with those of ``parameters`` that it has, and estimate its timing.

    Args:
        module: its name; its ports count as registers, without delays of their own.
        parameters: of the accelerator.
        advance: called with the module's name after each unit.

    Raises:
        SynthesisError: Yosys refused a unit, or there is no such module.
        PathError: the design has a combinational loop.
    """
    return estimate(synthesise(module, own_parameters(module, parameters), advance=advance))


def estimate(design: Design) -> TimingReport:
    """Timing of a synthesised design.

    Raises:
        PathError: the design has a combinational loop.
    """
    flat = flatten(design)
    graph = path_graph(flat)
    wires = read_delays().wires
    return TimingReport(design.top, {name: _Clockwork(flat, graph, model).timing() for name, model in wires.items()})


class _Clockwork:
    """A design with the delays of its cells and wires, in ps."""

    def __init__(self, flat: FlatNetlist, graph: PathGraph, wires: WireModel) -> None:
        self.flat, self.graph = flat, graph
        self._cells = {PORT: 0, **read_delays().cells}
        self._wires = {net: wires.delay(count) for net, count in flat.loads().items()}
        self._shortest = wires.delay(1)
        self.reached = longest(
            graph, lambda start: self._cells[start.figure], lambda arc: self._wire(arc) + self._cells[arc.figure]
        )
        ends = [(self._delay(end), end) for end in graph.ends if end.source in self.reached]
        self.ends = sorted(ends, key=lambda found: (-found[0], found[1].name, found[1].pin))
        """Endpoints with the delay of the slowest path to each, the slowest first."""

    def timing(self) -> Timing:
        """The slowest path, endpoints that miss each period, and the worst paths."""
        alike = Counter(self._registers(end) for _, end in self.ends)
        slowest: dict[tuple[str, str], tuple[int, End]] = {}
        for delay, end in self.ends:
            slowest.setdefault(self._registers(end), (delay, end))
        worst = list(slowest.items())[:WORST_PATHS]
        return Timing(
            len(self.ends),
            self.ends[0][0] / 1000 if self.ends else 0.0,
            {period: sum(delay > 1000 * period for delay, _ in self.ends) for period in PERIODS_NS},
            [self._path(delay, end, alike[registers]) for registers, (delay, end) in worst],
        )

    def _wire(self, sink: Arc | End) -> int:
        return self._wires.get(sink.source, self._shortest) if sink.wired else 0

    def _delay(self, end: End) -> int:
        return self.reached[end.source].length + self._wire(end) + self._cells[end.figure]

    def _registers(self, end: End) -> tuple[str, str]:
        """Where the slowest path to an endpoint begins and ends, the same for all bits and copies."""
        start = self.flat.name(self.reached[end.source].start)
        return re.sub(r"\[\d+\]", "", start), re.sub(r"\[\d+\]", "", end.name)

    def _path(self, delay: int, end: End, endpoints: int) -> TimingPath:
        begin = self.reached[end.source].start
        start = self.graph.starts[begin]
        name = self.flat.name
        steps = [
            Step(start.kind, name(begin), 0.0, self._cells[start.figure] / 1000),
            *(
                Step(arc.kind, name(net), self._wire(arc) / 1000, self._cells[arc.figure] / 1000)
                for arc, net in trace(self.reached, end.source)
            ),
            Step(end.kind, end.name, self._wire(end) / 1000, self._cells[end.figure] / 1000),
        ]
        return TimingPath(name(begin), end.name, end.pin, delay / 1000, endpoints, steps)
