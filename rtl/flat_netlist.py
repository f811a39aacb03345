"""A design joined into one netlist: the cells of all its units, on nets that have one number throughout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tritforge.rtl.cell_ways import Bit, is_control, is_output
from tritforge.rtl.netlist import Cell
from tritforge.rtl.synthesis import Design, Unit

Net = int


@dataclass(frozen=True, eq=False)
class PlacedCell:
    """A cell of the design with the nets on its pins; None are constants."""

    cell: Cell
    pins: Mapping[str, list[Net | None]]

    def net(self, bit: Bit) -> Net | None:
        """The net on a bit of a pin; None where it is a constant, or the pin is not there."""
        pin, index = bit
        return self.pins[pin][index] if pin in self.pins else None


@dataclass
class FlatNetlist:
    """A design without hierarchy: its cells, the nets of its ports, and names of nets.

    A net without a name in the sources has that of the cell that drives it.
    """

    cells: list[PlacedCell] = field(default_factory=list)
    names: dict[Net, str] = field(default_factory=dict)
    inputs: list[Net] = field(default_factory=list)
    outputs: list[Net] = field(default_factory=list)

    def name(self, net: Net) -> str:
        """What a net is called; its number where neither the sources name it nor a cell drives it."""
        return self.names.get(net, f"net {net}")

    def loads(self) -> Counter[Net]:
        """How many pins and ports listen to each net, without clocks, resets, enables and write enables.

        A bus of a cell is one pin, however many of its bits are on the net.
        """
        found = Counter(self.outputs)
        for placed in self.cells:
            kind = placed.cell.kind
            for pin, nets in placed.pins.items():
                if not is_output(kind, pin) and not is_control(kind, pin):
                    found.update({net for net in nets if net is not None})
        return found


def flatten(design: Design) -> FlatNetlist:
    """Join the netlists of a design's units.

    Raises:
        ValueError: a cell through which no path is known.
    """
    flat = FlatNetlist()
    named: dict[Net, str] = {}
    unnamed: dict[Net, str] = {}
    same = _SameNets()
    fresh = iter(range(1, 1 << 62))

    def place(unit: Unit, prefix: str, outer: Mapping[str, list[Net | None]]) -> None:
        module = design.netlists[unit]
        local: dict[int | str, Net | None] = dict.fromkeys("01xz")
        for port, (_, bits) in module.ports.items():
            for bit, net in zip(bits, outer[port], strict=True):
                known = local.setdefault(bit, net)
                if known is not None and net is not None:
                    same.join(known, net)

        def nets(bits: list[int | str]) -> list[Net | None]:
            for bit in bits:
                if bit not in local:
                    local[bit] = next(fresh)
            return [local[bit] for bit in bits]

        for name, bits in module.names.items():
            for index, net in enumerate(nets(bits)):
                if net is not None:
                    named.setdefault(net, f"{prefix}{name}" + (f"[{index}]" if len(bits) > 1 else ""))
        for name, cell in module.cells.items():
            pins = {pin: nets(bits) for pin, bits in cell.connections.items()}
            child = design.instances[unit].get(name)
            if child:
                place(child, f"{prefix}{name}.", pins)
                continue
            flat.cells.append(PlacedCell(cell, pins))
            for pin, driven in pins.items():
                if is_output(cell.kind, pin):
                    unnamed.update(
                        {net: f"{cell.kind} in {prefix or unit.module}" for net in driven if net is not None}
                    )

    ports = design.netlists[design.top].ports
    outer: dict[str, list[Net | None]] = {port: [next(fresh) for _ in bits] for port, (_, bits) in ports.items()}
    place(design.top, "", outer)
    for port, (direction, _) in ports.items():
        (flat.inputs if direction == "input" else flat.outputs).extend(same.of(net) for net in outer[port] if net)
    flat.cells = [
        PlacedCell(placed.cell, {pin: same.each(nets) for pin, nets in placed.pins.items()}) for placed in flat.cells
    ]
    for net, name in (*named.items(), *unnamed.items()):
        flat.names.setdefault(same.of(net), name)
    return flat


class _SameNets:
    """Nets that are one: several ports of a unit may be on the same net inside it."""

    def __init__(self) -> None:
        self._other: dict[Net, Net] = {}

    def of(self, net: Net) -> Net:
        """The net that stands for all that are one with it."""
        while net in self._other:
            net = self._other[net]
        return net

    def join(self, one: Net, other: Net) -> None:
        """Make two nets one, under the older."""
        low, high = sorted((self.of(one), self.of(other)))
        if low != high:
            self._other[high] = low

    def each(self, nets: list[Net | None]) -> list[Net | None]:
        """What stands for each of some nets."""
        return [net if net is None else self.of(net) for net in nets]
