"""Depth and fan-out of a synthesised design, over all its units: what Yosys itself tells for one module only.

Levels are counted, not nanoseconds: nothing is placed, so a path's delay is not known. A path begins at a register, a
memory or a port and ends at one; reading a distributed memory is a level of LUTs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tritforge.rtl.netlist import FLIP_FLOPS, LUTRAM, LUTS, SHIFT_REGISTERS, Cell
from tritforge.rtl.synthesis import Design, Unit

CONTROL_PINS = frozenset({"C", "CE", "CLK", "CLR", "PRE", "R", "S", "WCLK", "WE", "REGCE", "REGCEAREGCE", "REGCEB"})
"""Pins of clocks, resets and enables, which have networks of their own or are counted apart."""

CONTROL_PREFIXES = ("CLK", "RST", "EN", "CE", "WEA", "WEBWE")

Net = int


@dataclass(frozen=True)
class Depth:
    """The deepest path of a kind: its levels, and the names of the nets where it begins and ends."""

    levels: int
    start: str
    end: str


@dataclass(frozen=True)
class Paths:
    """Deepest paths by LUTs and by CARRY4, and the nets with most loads outside clocks, resets and enables."""

    luts: Depth
    carry4: Depth
    fan_out: list[tuple[str, int]]


@dataclass
class _Flat:
    """A design without hierarchy: cells with global nets, and for each net its name or what drives it."""

    cells: list[tuple[Cell, dict[str, list[Net | None]]]]
    names: dict[Net, str]
    inputs: list[Net]


def paths(design: Design, fan_out_nets: int = 20) -> Paths:
    """Deepest paths and highest fan-outs of a whole design."""
    flat = _flatten(design)
    arcs, starts, ends = _graph(flat)
    luts = _deepest(arcs, starts, ends, 0, flat.names)
    carry4 = _deepest(arcs, starts, ends, 1, flat.names)
    loads: Counter[Net] = Counter()
    for cell, pins in flat.cells:
        for pin, nets in pins.items():
            if not _is_output(cell.kind, pin) and not _is_control(cell.kind, pin):
                loads.update({net for net in nets if net is not None})
    top = [(flat.names.get(net, f"net {net}"), count) for net, count in loads.most_common(fan_out_nets)]
    return Paths(luts, carry4, top)


def _flatten(design: Design) -> _Flat:
    flat = _Flat([], {}, [])
    unnamed: dict[Net | None, str] = {}
    fresh = iter(range(1, 1 << 62))

    def place(unit: Unit, prefix: str, outer: Mapping[str, list[Net | None]]) -> None:
        module = design.netlists[unit]
        local: dict[int | str, Net | None] = {"0": None, "1": None, "x": None, "z": None}
        for port, (_, bits) in module.ports.items():
            local.update(zip(bits, outer[port], strict=True))
            local.update({constant: None for constant in "01xz"})

        def nets(bits: list[int | str]) -> list[Net | None]:
            for bit in bits:
                if bit not in local:
                    local[bit] = next(fresh)
            return [local[bit] for bit in bits]

        for name, bits in module.names.items():
            for index, net in enumerate(nets(bits)):
                if net is not None and net not in flat.names:
                    flat.names[net] = f"{prefix}{name}" + (f"[{index}]" if len(bits) > 1 else "")
        for name, cell in module.cells.items():
            pins = {pin: nets(bits) for pin, bits in cell.connections.items()}
            child = design.instances[unit].get(name)
            if child:
                place(child, f"{prefix}{name}.", pins)
                continue
            flat.cells.append((cell, pins))
            for pin, driven in pins.items():
                if _is_output(cell.kind, pin):
                    unnamed.update(
                        {net: f"{cell.kind} in {prefix or unit.module}" for net in driven if net is not None}
                    )

    ports = design.netlists[design.top].ports
    outer: dict[str, list[Net | None]] = {port: [next(fresh) for _ in bits] for port, (_, bits) in ports.items()}
    entering = [net for port, (direction, _) in ports.items() if direction == "input" for net in outer[port]]
    flat.inputs = [net for net in entering if net is not None]
    place(design.top, "", outer)
    flat.names = {net: name for net, name in unnamed.items() if net is not None} | flat.names
    return flat


def _is_output(kind: str, pin: str) -> bool:
    if kind in LUTS or kind in ("MUXF7", "MUXF8"):
        return pin in ("O", "O5", "O6")
    if kind == "CARRY4":
        return pin in ("O", "CO")
    if kind in FLIP_FLOPS or kind in SHIFT_REGISTERS:
        return pin in ("Q", "Q31")
    if kind in LUTRAM:
        return pin in ("O", "SPO", "DPO", "DOA", "DOB", "DOC", "DOD")
    if kind.startswith("RAMB"):
        return pin.startswith(("DO", "CASCADEOUT", "DBITERR", "SBITERR", "ECCPARITY", "RDADDRECC"))
    if kind.startswith("DSP48"):
        return pin in ("P", "PCOUT", "ACOUT", "BCOUT", "CARRYOUT", "CARRYCASCOUT", "MULTSIGNOUT", "OVERFLOW") or (
            pin in ("UNDERFLOW", "PATTERNDETECT", "PATTERNBDETECT")
        )
    raise ValueError(f"{kind} is a cell that no path is known through")


def _is_control(kind: str, pin: str) -> bool:
    wide = kind.startswith(("RAMB", "DSP48"))
    return pin in CONTROL_PINS or (wide and pin.startswith(CONTROL_PREFIXES))


def _arcs(cell: Cell, pins: Mapping[str, list[Net | None]]) -> Iterator[tuple[Net, Net, tuple[int, int]]]:
    """Combinational ways through a cell: from, to, and their levels of LUTs and CARRY4."""
    kind = cell.kind

    def all_ways(inputs: list[str], outputs: list[str], levels: tuple[int, int]) -> Iterator:
        for source in inputs:
            for start in pins.get(source, []):
                for sink in outputs:
                    for end in pins.get(sink, []):
                        if start is not None and end is not None:
                            yield start, end, levels

    if kind in LUTS:
        yield from all_ways([f"I{i}" for i in range(6)] + ["I"], ["O", "O5", "O6"], (1, 0))
    elif kind in ("MUXF7", "MUXF8"):
        yield from all_ways(["I0", "I1", "S"], ["O"], (0, 0))
    elif kind == "CARRY4":
        yield from all_ways(["CI", "CYINIT"], ["O", "CO"], (0, 1))
        for low in range(4):
            for pin in ("S", "DI"):
                start = pins[pin][low]
                for out in ("O", "CO"):
                    for high in range(low + (pin == "DI" and out == "O"), 4):
                        end = pins[out][high] if out in pins else None
                        if start is not None and end is not None:
                            yield start, end, (0, 1)
    elif kind in LUTRAM:
        for address, data in (("ADDRA", "DOA"), ("ADDRB", "DOB"), ("ADDRC", "DOC"), ("ADDRD", "DOD")):
            yield from all_ways([address], [data], (1, 0))
        yield from all_ways(["A", *(f"A{i}" for i in range(8))], ["O", "SPO"], (1, 0))
        yield from all_ways(["DPRA", *(f"DPRA{i}" for i in range(8))], ["DPO"], (1, 0))
    elif kind in SHIFT_REGISTERS:
        yield from all_ways(["A", *(f"A{i}" for i in range(5))], ["Q"], (1, 0))
    elif kind.startswith("DSP48") and not _value(cell, "PREG"):
        direct = [pin for pin in ("A", "B", "D") if not _value(cell, f"{pin}REG") and not _value(cell, "MREG")]
        direct += [] if _value(cell, "CREG") else ["C"]
        yield from all_ways([*direct, "PCIN"], ["P", "PCOUT"], (0, 0))


def _value(cell: Cell, parameter: str) -> int:
    value = cell.parameters.get(parameter, 1)
    return int(value, 2) if isinstance(value, str) else int(value)


Arcs = dict[Net, list[tuple[Net, tuple[int, int]]]]


def _graph(flat: _Flat) -> tuple[Arcs, set[Net], dict[Net, str]]:
    """Ways by the net they lead to, nets where paths begin, and nets where they end with what stands there."""
    into: Arcs = {}
    outputs: set[Net] = set(flat.inputs)
    through: set[Net] = set()
    ends: dict[Net, str] = {}
    for cell, pins in flat.cells:
        passed = set()
        for start, end, levels in _arcs(cell, pins):
            into.setdefault(end, []).append((start, levels))
            passed.add(start)
            through.add(end)
        for pin, nets in pins.items():
            known = {net for net in nets if net is not None}
            if _is_output(cell.kind, pin):
                outputs |= known
            elif not (cell.kind in LUTS or cell.kind in ("CARRY4", "MUXF7", "MUXF8")):
                outs = pins.get("Q", [None])
                name = flat.names.get(outs[0]) if outs[0] is not None else None
                ends |= {net: name or f"{cell.kind}.{pin}" for net in known}
    return into, outputs - through, ends


def _deepest(into: Arcs, starts: set[Net], ends: Mapping[Net, str], kind: int, names: Mapping[Net, str]) -> Depth:
    """The path with most levels of a kind (0 LUTs, 1 CARRY4) over an acyclic graph."""
    best: dict[Net, tuple[int, Net]] = {net: (0, net) for net in starts}
    for target in into:
        stack = [target]
        while stack:
            net = stack[-1]
            if net in best:
                stack.pop()
                continue
            waiting = [source for source, _ in into.get(net, []) if source not in best]
            if waiting:
                stack.extend(waiting)
                continue
            ways = [(best[source][0] + levels[kind], best[source][1]) for source, levels in into.get(net, [])]
            best[net] = max(ways, default=(0, net))
            stack.pop()
    end = max((net for net in ends if net in best), key=lambda net: best[net][0], default=None)
    if end is None:
        return Depth(0, "", "")
    levels, start = best[end]
    return Depth(levels, names.get(start, f"net {start}"), ends[end])
