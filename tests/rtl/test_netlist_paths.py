"""Area, depth and fan-out of small netlists made by hand, in one unit and over several."""

from __future__ import annotations

import pytest
from netlist_samples import CLOCK, carry, dsp, flop, lut, single

from tritforge.rtl.netlist import Area, Cell, Module, area
from tritforge.rtl.netlist_paths import paths
from tritforge.rtl.synthesis import Design, Unit


def chain(luts: int) -> dict[str, Cell]:
    """A register, LUTs behind each other, a register."""
    cells = {"from": flop("0", 10), "to": flop(10 + luts, 99)}
    return cells | {f"lut{k}": lut(11 + k, 10 + k) for k in range(luts)}


NAMES = {"clk_i": 1, "start_q": 10, "end_q": 99}
NETS: dict[str, list[int | str]] = {name: [net] for name, net in NAMES.items()}


@pytest.mark.parametrize("luts", [0, 1, 5])
def test_levels_of_luts_are_counted(luts: int):
    found = paths(single(chain(luts), NAMES)).luts
    assert found.levels == luts
    if luts:
        assert (found.start, found.end) == ("start_q", "end_q")


def test_the_longer_way_counts_and_a_register_ends_it():
    cells = chain(3) | {"shortcut": lut(30, 10, 13), "other": flop(30, 31), "behind": lut(32, 31), "last": flop(32, 33)}
    assert paths(single(cells, NAMES)).luts.levels == 4


def test_carries_are_counted_from_where_they_are_entered():
    cells = {"from": flop("0", 10), "low": carry("0", 20, ["1", "1", "1", 10]), "high": carry(20, 24, ["1"] * 4)}
    cells |= {"to": flop(24, 99)}
    found = paths(single(cells, NAMES))
    assert found.carry4.levels == 2 and found.luts.levels == 0
    assert (found.carry4.start, found.carry4.end) == ("start_q", "end_q")


def test_a_distributed_memory_is_read_in_a_level_and_ends_paths():
    memory = Cell("RAM32M", {}, {"ADDRA": [10], "DOA": [11, 12], "DIA": [14, "0"], "WCLK": [1], "WE": ["1"]})
    cells = {"from": flop("0", 10), "memory": memory, "lut": lut(13, 11), "to": flop(13, 99), "data": lut(14, 13)}
    assert paths(single(cells, NAMES)).luts.levels == 3


def test_a_bypassed_dsp_is_a_level_and_a_registered_one_ends_paths():
    cells = {"from": flop("0", 10), "first": dsp(11, C=10), "second": dsp(12, C=11), "lut": lut(13, 12)}
    cells |= {"to": flop(13, 99)}
    found = paths(single(cells, NAMES))
    assert (found.dsp.levels, found.luts.levels, found.carry4.levels) == (2, 3, 0)
    assert (found.dsp.start, found.dsp.end) == (found.luts.start, found.luts.end) == ("start_q", "end_q")
    registered = paths(single(cells | {"second": dsp(12, ("PREG",), C=11)}, NAMES))
    assert (registered.dsp.levels, registered.luts.levels) == (1, 1)


def test_a_unit_may_drive_two_ports_from_one_net():
    inner = Module({"i": ("input", [5]), "o": ("output", [6]), "p": ("output", [6])}, {"lut": lut(6, 5)}, {})
    child, top = Unit("child"), Unit("top")
    for used in ("o", "p"):
        box = Cell("child_box", {}, {"i": [10], "o": [40], "p": [41]})
        cells = {"from": flop("0", 10), "u": box, "lut": lut(42, 40 if used == "o" else 41), "to": flop(42, 99)}
        design = Design(top, {top: Module(CLOCK, cells, NETS), child: inner}, {top: {"u": child}, child: {}})
        found = paths(design).luts
        assert (found.levels, found.start, found.end) == (2, "start_q", "end_q")


def test_a_port_ends_a_path():
    ports: dict[str, tuple[str, list[int | str]]] = {"a_i": ("input", [2]), "b_o": ("output", [4])}
    found = paths(single({"low": lut(3, 2), "high": lut(4, 3)}, {"a_i": 2, "b_o": 4}, ports))
    assert (found.luts.levels, found.luts.start, found.luts.end) == (2, "a_i", "b_o")
    assert dict(found.fan_out)["b_o"] == 1


def test_paths_and_loads_go_through_units():
    inner = Module({"i": ("input", [5, "0"]), "o": ("output", [7])}, {"lut": lut(6, 5), "next": lut(7, 6)}, {"i": [5]})
    child, top = Unit("child"), Unit("top")
    cells = chain(1) | {"to": flop(41, 99)}
    for k in range(2):
        cells[f"u{k}"] = Cell("child_box", {}, {"i": [11 if k == 0 else 40, "1"], "o": [40 + k]})
    instances = {top: {"u0": child, "u1": child}, child: {}}
    found = paths(Design(top, {top: Module(CLOCK, cells, NETS), child: inner}, instances))
    assert found.luts.levels == 5
    many = {f"u{k}": Cell("child_box", {}, {"i": [10, "1"], "o": [40 + k]}) for k in range(9)}
    fan = Design(
        top, {top: Module(CLOCK, chain(1) | many, NETS), child: inner}, {top: dict.fromkeys(many, child), child: {}}
    )
    assert paths(fan).fan_out[0] == ("start_q", 10)


def test_clock_reset_and_enable_are_no_loads():
    cells = {f"flop{k}": Cell("FDRE", {}, {"C": [1], "CE": [2], "R": [3], "D": [4], "Q": [10 + k]}) for k in range(5)}
    assert paths(single(cells, {"data": 4})).fan_out == [("data", 5)]


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="GTXE2"):
        paths(single({"u": Cell("GTXE2", {}, {"I": [10]})}, {}))


def test_cells_become_area():
    cells = [
        *(Cell(kind, {}, {}) for kind in ("LUT1", "LUT6", "LUT6_2", "INV", "RAM32M", "RAM128X1S", "SRL16E", "DSP48E1")),
        *(Cell(kind, {}, {}) for kind in ("RAMB36E1", "RAMB18E1", "FDRE", "FDSE", "MUXF7")),
        carry("0", 20, [10, 11, "1", "0"]),
    ]
    found = area(Module({}, {str(index): cell for index, cell in enumerate(cells)}, {}))
    assert found == Area(lut_logic=4, lutram=6, srl=1, ff=2, carry4=1, carry_sites=2, bram36=1.5, dsp=1)
    assert found.lut == 11 and (found * 3 + found).lut == 44
