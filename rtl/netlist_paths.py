"""Depth and fan-out of a synthesised design, over all its units: what Yosys itself tells for one module only.

Levels are counted here, not nanoseconds, which :mod:`tritforge.rtl.timing` estimates. A path begins at a register, a
memory or a port and ends at one; reading a distributed memory is a level of LUTs. A DSP whose registers are bypassed
is a level too, and as slow as several.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritforge.rtl.flat_netlist import FlatNetlist, flatten
from tritforge.rtl.path_graph import PathGraph, longest, path_graph
from tritforge.rtl.synthesis import Design


@dataclass(frozen=True)
class Depth:
    """The deepest path of a kind: its levels, and the names of the nets where it begins and ends."""

    levels: int
    start: str
    end: str


@dataclass(frozen=True)
class Paths:
    """Deepest paths, and the nets with most loads outside clocks, resets and enables.

    ``luts`` counts LUTs and ways through DSPs, ``carry4`` and ``dsp`` those cells alone.
    """

    luts: Depth
    carry4: Depth
    dsp: Depth
    fan_out: list[tuple[str, int]]


def paths(design: Design, fan_out_nets: int = 20) -> Paths:
    """Deepest paths and highest fan-outs of a whole design.

    Raises:
        PathError: the design has a combinational loop.
    """
    flat = flatten(design)
    graph = path_graph(flat)
    return Paths(
        _deepest(graph, flat, "lut", "lutram", "dsp"),
        _deepest(graph, flat, "carry4"),
        _deepest(graph, flat, "dsp"),
        [(flat.name(net), count) for net, count in flat.loads().most_common(fan_out_nets)],
    )


def _deepest(graph: PathGraph, flat: FlatNetlist, *groups: str) -> Depth:
    """The path with most ways through cells of some groups."""
    reached = longest(graph, lambda start: 0, lambda arc: int(arc.figure[0] in groups))
    ends = (end for end in graph.ends if end.source in reached)
    deepest = max(ends, key=lambda end: reached[end.source].length, default=None)
    if deepest is None:
        return Depth(0, "", "")
    levels, start, _ = reached[deepest.source]
    return Depth(levels, flat.name(start), deepest.name)
