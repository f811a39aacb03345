"""Estimated timing of small netlists, against delays added up by hand, and of the whole accelerator.

Hand-made sums are in ns with typical wires, 0.45 to one load, unless they say otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlist_samples import carry, dsp, flop, lut, single

from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.rtl.cell_ways import captures, launches, ways
from tritforge.rtl.delays import read_delays
from tritforge.rtl.netlist import Cell
from tritforge.rtl.path_graph import PathError
from tritforge.rtl.timing import Timing, estimate, timing_report

NAMES = {"clk_i": 1, "start_q": 10, "end_q": 99}
START = {"from": flop("0", 10)}


def timing(cells: dict[str, Cell], names: dict[str, int] = NAMES, wires: str = "typical") -> Timing:
    return estimate(single(cells, names)).by_wires[wires]


def worst(cells: dict[str, Cell]) -> float:
    return timing(cells).worst_ns


def to_end(net: int) -> dict[str, Cell]:
    return {"to": flop(net, 99)}


@pytest.mark.parametrize(("wires", "wire"), [("typical", 0.45), ("pessimistic", 0.65)])
def test_a_register_through_luts_to_a_register(wires: str, wire: float):
    straight = timing(START | to_end(10), wires=wires)
    assert straight.worst_ns == pytest.approx(0.34 + wire + 0.06, abs=1e-9)
    found = timing(START | {"one": lut(11, 10), "two": lut(12, 11)} | to_end(12), wires=wires)
    assert found.worst_ns == pytest.approx(0.34 + 2 * (wire + 0.124) + 0.06, abs=1e-9)  # the last register is beside
    (path,) = found.paths
    assert (path.start, path.end, path.pin, path.cells()) == ("start_q", "end_q", "D", "FDRE LUT1×2 FDRE")
    assert [(step.wire_ns, step.cell_ns) for step in path.steps] == [
        (0, 0.34),
        (wire, 0.124),
        (wire, 0.124),
        (0, 0.06),
    ]
    assert path.wires_ns == 2 * wire and found.mhz == round(1000 / found.worst_ns, 1)


@pytest.mark.parametrize(("loads", "typical", "pessimistic"), [(1, 0.45, 0.65), (3, 0.640, 0.935), (64, 1.17, 1.73)])
def test_a_wire_takes_longer_to_more_loads(loads: int, typical: float, pessimistic: float):
    cells = START | {f"to{k}": flop(10, 20 + k) for k in range(loads)}
    for wires, wire in (("typical", typical), ("pessimistic", pessimistic)):
        assert timing(cells, wires=wires).worst_ns == round(0.34 + wire + 0.06, 3)


def test_enables_and_resets_end_paths_but_are_no_loads():
    enabled = START | {f"to{k}": flop("0", 20 + k, enable=10) for k in range(8)}
    reset = START | {f"to{k}": flop("0", 20 + k, reset=10) for k in range(8)}
    assert worst(enabled) == round(0.34 + 0.45 + 0.109, 3)
    assert worst(reset) == round(0.34 + 0.45 + 0.35, 3)
    assert timing(enabled).endpoints == 8 and timing(enabled).paths[0].pin == "CE"


@pytest.mark.parametrize(
    ("propagate", "entered", "first"),
    [(["1", "1", "1", 11], 0.38, "0"), ([11, "1", "1", "1"], 0.508, "0"), (["1"] * 4, 0.58, 11)],
)
def test_carries_go_up_without_wires(propagate: list[int | str], entered: float, first: int | str):
    chain = {"low": carry("0", 20, propagate, first), "high": carry(20, 24, ["1"] * 4)}
    cells = START | {"lut": lut(11, 10)} | chain | to_end(924 + 3)  # O3 of the upper one
    wire = 0.45 if first == 11 else 0  # a LUT lies before S, but not before CYINIT
    assert worst(cells) == pytest.approx(0.34 + 0.45 + 0.124 + wire + entered + 0.313 + 0.06, abs=1e-9)
    longer = cells | {"top": carry(24, 28, ["1"] * 4)} | to_end(28)
    assert worst(longer) == pytest.approx(0.34 + 0.45 + 0.124 + wire + entered + 2 * 0.114 + 0.06, abs=1e-9)


def test_a_lut_lies_before_one_carry_and_one_register_only():
    one = START | {"lut": lut(11, 10), "low": carry("0", 20, [11, "1", "1", "1"])} | to_end(20)
    assert worst(one) == round(0.34 + 0.45 + 0.124 + 0.508 + 0.06, 3)
    two = one | {"other": carry("0", 30, [11, "1", "1", "1"])}
    assert worst(two) == round(0.34 + 0.45 + 0.124 + 0.57 + 0.508 + 0.06, 3)
    registers = START | {"lut": lut(11, 10)} | to_end(11) | {"other": flop(11, 98)}
    assert worst(registers) == round(0.34 + 0.45 + 0.124 + 0.57 + 0.06, 3)
    straight = START | {"low": carry("0", 20, [10, "1", "1", "1"])} | to_end(20)
    assert worst(straight) == round(0.34 + 0.45 + 0.508 + 0.06, 3)


def test_both_halves_of_a_lut():
    pins: dict[str, list[int | str]] = {f"I{k}": ["0"] for k in range(6)} | {"O6": [11], "O5": [12]}
    for pin, slowest in (("I0", 0.153), ("I5", 0.124)):  # the last input does not reach O5
        cells = START | {"lut": Cell("LUT6_2", {}, pins | {pin: [10]}), "o6": flop(11, 98), "o5": flop(12, 99)}
        assert worst(cells) == round(0.34 + 0.45 + slowest + 0.06, 3)


def test_multiplexers_lie_behind_their_luts():
    cells = START | {"lut": lut(11, 10), "f7": Cell("MUXF7", {}, {"I0": [11], "I1": ["0"], "S": ["0"], "O": [12]})}
    cells |= {"f8": Cell("MUXF8", {}, {"I0": [12], "I1": ["0"], "S": ["0"], "O": [13]})} | to_end(13)
    assert worst(cells) == round(0.34 + 0.45 + 0.124 + 0.217 + 0.104 + 0.06, 3)
    chosen = cells | {"f7": Cell("MUXF7", {}, {"I0": ["1"], "I1": ["0"], "S": [11], "O": [12]})}
    assert worst(chosen) == round(0.34 + 0.45 + 0.124 + 0.45 + 0.276 + 0.104 + 0.06, 3)


@pytest.mark.parametrize(
    ("registers", "pin", "through", "into", "out"),
    [
        ((), "A", 3.84, 0, 0),
        ((), "C", 1.82, 0, 0),
        ((), "PCIN", 1.5, 0, 0),
        (("AREG",), "A", 0, 0.45, 4.009),
        (("AREG", "MREG"), "A", 0, 0.45, 2.305),
        (("MREG",), "B", 0, 1.928, 2.305),
        (("MREG",), "C", 1.82, 0, 0),
        (("PREG",), "D", 0, 3.72, 0.434),
        (("PREG",), "C", 0, 1.701, 0.434),
        (("PREG",), "PCIN", 0, 1.3, 0.434),
        (("CREG",), "C", 0, 0.233, 2.305),
        (("CREG", "PREG"), "C", 0, 0.233, 0.434),
        (("AREG", "BREG", "MREG", "PREG"), "B", 0, 0.45, 0.434),
    ],
)
def test_a_dsp_is_what_its_registers_leave(
    registers: tuple[str, ...], pin: str, through: float, into: float, out: float
):
    found = timing(START | {"dsp": dsp(11, registers, **{pin: 10})} | to_end(11))
    if through:
        assert [path.delay_ns for path in found.paths] == [round(0.34 + 0.45 + through + 0.45 + 0.06, 3)]
    else:
        expected = {round(0.34 + 0.45 + into, 3), round(out + 0.45 + 0.06, 3)}
        assert {path.delay_ns for path in found.paths} == expected


def test_a_dsp_without_multiplier_adds_a_and_b():
    added = dsp(11, A=10)
    cells = START | {"dsp": Cell(added.kind, dict(added.parameters) | {"USE_MULT": "NONE"}, added.connections)}
    assert worst(cells | to_end(11)) == round(0.34 + 0.45 + 1.82 + 0.45 + 0.06, 3)


def test_a_cascade_of_dsps_has_no_wire():
    low = dsp(11, C=10)
    low = Cell(low.kind, low.parameters, dict(low.connections) | {"PCOUT": [12]})
    cells = START | {"low": low, "high": dsp(13, PCIN=12)} | to_end(13)
    assert worst(cells) == round(0.34 + 0.45 + 1.82 + 1.5 + 0.45 + 0.06, 3)


def test_from_p_to_another_dsp_there_is_a_wire():
    cells = START | {"low": dsp(11, C=10), "high": dsp(12, C=11)} | to_end(12)
    assert worst(cells) == round(0.34 + 0.45 + 1.82 + 0.45 + 1.82 + 0.45 + 0.06, 3)


@pytest.mark.parametrize(("pin", "setup"), [("CEP", 0.109), ("RSTP", 0.35)])
def test_enables_and_resets_of_a_dsp_are_taken_as_those_of_a_flip_flop(pin: str, setup: float):
    found = timing(START | {"dsp": dsp(11, ("PREG",), **{pin: 10})})
    assert (found.endpoints, found.worst_ns) == (1, round(0.34 + 0.45 + setup, 3))


@pytest.mark.parametrize(("buffered", "out"), [(0, 2.454), (1, 0.882)])
def test_a_block_ram_with_and_without_output_register(buffered: int, out: float):
    parameters = {"DOA_REG": f"{buffered:032b}", "DOB_REG": f"{1 - buffered:032b}"}
    pins: dict[str, list[int | str]] = {"ADDRARDADDR": [10], "DIADI": ["0"], "CLKARDCLK": [1], "DOADO": [11]}
    found = timing(START | {"ram": Cell("RAMB36E1", parameters, pins | {"DOPBDOP": ["x"]})} | to_end(11))
    assert {path.delay_ns for path in found.paths} == {round(0.34 + 0.45 + 0.566, 3), round(out + 0.45 + 0.06, 3)}


@pytest.mark.parametrize(
    ("pin", "setup"), [("DIADI", 0.737), ("ENARDEN", 0.443), ("WEA", 0.532), ("REGCEAREGCE", 0.443)]
)
def test_a_block_ram_takes_its_inputs(pin: str, setup: float):
    pins: dict[str, list[int | str]] = {"CLKARDCLK": [1], pin: [10]}
    assert worst(START | {"ram": Cell("RAMB18E1", {}, pins)}) == round(0.34 + 0.45 + setup, 3)


def test_a_distributed_memory_is_written_at_the_clock_and_read_between():
    memory: dict[str, list[int | str]] = {"WCLK": [1], "ADDRA": ["0"], "ADDRD": ["0"], "DIA": ["0"], "WE": ["1"]}
    late = START | {"one": lut(12, 10), "two": lut(13, 12)}  # there at 1.488
    written = Cell("RAM32M", {}, memory | {"DIA": [13], "DOA": [11]})
    assert worst(late | {"ram": written} | to_end(11)) == round(1.488 + 0.45 + 0.31, 3)
    assert worst(START | {"ram": written} | to_end(11)) == round(1.19 + 0.45 + 0.06, 3)
    read = Cell("RAM32M", {}, memory | {"ADDRA": [13], "DOA": [11]})
    assert worst(late | {"ram": read} | to_end(11)) == round(1.488 + 0.45 + 0.124 + 0.45 + 0.06, 3)
    for pin, setup in (("ADDRD", 0.25), ("DIA", 0.31), ("WE", 0.654)):
        found = timing(START | {"ram": Cell("RAM32M", {}, memory | {pin: [10]})})
        assert (found.endpoints, found.worst_ns) == (1, round(0.34 + 0.45 + setup, 3))


def test_a_shift_register_is_written_at_the_clock_and_read_between():
    pins: dict[str, list[int | str]] = {"CLK": [1], "CE": ["1"], "D": [10], "A0": ["1"], "Q": [11]}
    found = timing(START | {"srl": Cell("SRL16E", {}, pins)} | to_end(11))
    assert [path.delay_ns for path in found.paths] == [round(1.461 + 0.45 + 0.06, 3), round(0.34 + 0.45 + 0.17, 3)]
    read = timing(
        START | {"srl": Cell("SRL16E", {}, pins | {"D": ["0"], "A0": [10]}), "behind": lut(12, 11)} | to_end(12)
    )
    assert read.endpoints == 1 and read.worst_ns == round(1.461 + 0.45 + 0.124 + 0.06, 3)


def test_ports_are_starts_and_ends():
    ports: dict[str, tuple[str, list[int | str]]] = {"a_i": ("input", [2]), "b_o": ("output", [3])}
    found = estimate(single({"lut": lut(3, 2)}, {"a_i": 2, "b_o": 3}, ports)).by_wires["typical"]
    assert found.endpoints == 1 and found.worst_ns == 0.45 + 0.124 + 0.45
    (path,) = found.paths
    assert (path.start, path.end, path.pin, path.cells()) == ("a_i", "b_o", "", "port LUT1 port")


def test_bits_of_a_register_are_one_path_told_by_the_slowest():
    cells = {f"from{k}": flop("0", 10 + k) for k in range(3)} | {f"lut{k}": lut(20 + k, 10 + k) for k in range(3)}
    cells |= {f"to{k}": flop(20 + k, 30 + k) for k in range(3)} | {"longer": lut(40, 21)} | {"to1": flop(40, 31)}
    names = {f"a_q[{k}]": 10 + k for k in range(3)} | {f"gen[{k}].b_q[0]": 30 + k for k in range(3)}
    (path,) = timing(cells, names).paths
    assert (path.start, path.end, path.endpoints) == ("a_q[1]", "gen[1].b_q[0]", 3)


def test_equally_slow_paths_are_told_by_the_names_of_their_ends():
    cells = {"from": flop("0", 10), "other": flop("0", 11), "b": flop(10, 20), "a": flop(11, 21), "slow": flop(11, 22)}
    names = {"x_q": 10, "y_q": 11, "a_q": 20, "b_q": 21, "c_q": 22}
    cells |= {"third": flop(10, 23)}
    for order in itertools.permutations(cells):
        found = timing({name: cells[name] for name in order}, names | {"d_q": 23}).paths
        assert [(path.start, path.end) for path in found] == [
            ("x_q", "a_q"),
            ("y_q", "b_q"),
            ("y_q", "c_q"),
            ("x_q", "d_q"),
        ]
        assert len({path.delay_ns for path in found}) == 1


def test_of_equally_slow_ways_to_an_end_the_first_is_told():
    cells = {"from": flop("0", 10), "other": flop("0", 11), "lut": lut(12, 11, 10)} | to_end(12)
    (path,) = timing(cells, NAMES | {"other_q": 11}).paths
    assert path.start == "other_q"


def test_the_ten_slowest_are_told_and_all_are_counted():
    cells: dict[str, Cell] = {}
    names = {}
    for length in range(1, 13):
        low = 100 * length
        cells[f"from{length}"] = flop("0", low)
        cells |= {f"lut{length}.{k}": lut(low + k + 1, low + k) for k in range(length)}
        cells[f"to{length}"] = flop(low + length, low + 99)
        names[f"end{length:02}_q"] = low + 99
    found = timing(cells, names)
    assert found.endpoints == 12
    assert [path.end for path in found.paths] == [f"end{length:02}_q" for length in range(12, 2, -1)]
    delays = [0.4 + 0.574 * length for length in range(1, 13)]
    assert found.misses == {period: sum(delay > period for delay in delays) for period in (10, 8, 7, 6.67)}
    assert found.misses == {10: 0, 8: 0, 7: 1, 6.67: 2}


def test_a_path_as_long_as_the_period_does_not_miss_it():
    """A DSP's register, 11 LUTs, a DSP and a write enable: 0.434 + 11 × 0.574 + 2.27 + 0.982 is 10 ns."""
    cells = {"from": dsp(10, ("PREG",), C=9), "source": flop("0", 9), "through": dsp(22, C=21)}
    cells |= {f"lut{k}": lut(11 + k, 10 + k) for k in range(11)}
    cells["ram"] = Cell("RAMB36E1", {}, {"CLKARDCLK": [1], "WEA": [22]})
    found = timing(cells)
    assert found.worst_ns == 10 and found.misses[10] == 0 and found.misses[8] == 1
    one_more = cells | {"ram": Cell("RAMB36E1", {}, {"CLKARDCLK": [1], "ADDRARDADDR": [22]})}
    assert timing(one_more).misses[10] == 1


def test_a_design_without_paths():
    found = timing(to_end(10))
    assert (found.endpoints, found.worst_ns, found.mhz, found.paths) == (0, 0.0, 0.0, [])


def test_a_combinational_loop_is_refused():
    cells = START | {"one": lut(11, 10, 12), "two": lut(12, 11)} | to_end(12)
    with pytest.raises(PathError, match=r"^a combinational loop goes through one_net, two_net$"):
        timing(cells, NAMES | {"one_net": 11, "two_net": 12})


luts_between = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=12)


@given(luts_between, st.lists(st.integers(0, 30), min_size=1, max_size=4), st.booleans())
def test_a_cell_more_never_makes_the_slowest_path_shorter(luts: list[list[int]], more: list[int], ended: bool):
    def netlist(inputs: list[list[int]]) -> dict[str, Cell]:
        """Three registers, LUTs that each listen to nets before them, a register behind each LUT."""
        cells = {f"from{k}": flop("0", 10 + k) for k in range(3)}
        for index, sources in enumerate(inputs):
            cells[f"lut{index}"] = lut(13 + index, *(10 + source % (3 + index) for source in sources))
        return cells | {f"to{index}": flop(13 + index, 100 + index) for index in range(len(luts))}

    before, after = netlist(luts), netlist([*luts, more])
    if ended:
        after["more"] = flop(13 + len(luts), 200)
    for wires in ("typical", "pessimistic"):
        assert timing(after, wires=wires).worst_ns >= timing(before, wires=wires).worst_ns > 0


@given(luts_between)
def test_a_path_is_the_sum_of_its_steps(luts: list[list[int]]):
    cells = {f"from{k}": flop("0", 10 + k) for k in range(3)}
    for index, sources in enumerate(luts):
        cells[f"lut{index}"] = lut(13 + index, *(10 + source % (3 + index) for source in sources))
    found = timing(cells | to_end(12 + len(luts)))
    for path in found.paths:
        assert math.isclose(path.delay_ns, sum(step.wire_ns + step.cell_ns for step in path.steps), abs_tol=1e-9)
    assert found.worst_ns == max(path.delay_ns for path in found.paths)


@given(st.sets(st.sampled_from(["AREG", "BREG", "CREG", "DREG", "MREG", "PREG"])))
def test_every_figure_of_a_cell_is_in_the_tables(registers: set[str]):
    bits: list[int | str] = [1]
    inputs = dict.fromkeys(("A", "B", "C", "D", "PCIN", "CEP", "RSTP"), 2)
    memory = {"ADDRARDADDR": bits, "DIADI": bits, "ENARDEN": bits, "WEA": bits, "DOADO": bits}
    cells = [
        dsp(3, tuple(registers), **inputs),
        carry(2, 20, [2, 3, 4, 5], 6),
        Cell("RAMB36E1", {"DOA_REG": "1"}, memory),
        Cell("SRLC32E", {}, {"A": bits * 5, "D": bits, "CE": bits, "CLK": bits, "Q": bits, "Q31": bits}),
        Cell("RAM64X1D", {}, {"A0": bits, "DPRA0": bits, "D": bits, "WE": bits, "SPO": bits, "DPO": bits}),
        flop(2, 3),
    ]
    known = read_delays().cells
    named = {each.figure for cell in cells for told in (ways, launches, captures) for each in told(cell)}
    assert named <= set(known) and all(known[figure] > 0 for figure in named)


def test_the_tables_are_frozen():
    """Estimates of different designs compare only as long as delays and wires are the same."""
    delays = read_delays()
    digest = hashlib.sha256(repr(sorted(delays.cells.items())).encode()).hexdigest()
    assert digest == "c745e39be3be196651e017f5a85f5235de9303ce30c74fbb93dd0455184f69f8"
    assert {name: (model.base, model.slope) for name, model in delays.wires.items()} == {
        "typical": (450, 120),
        "pessimistic": (650, 180),
    }


def test_a_synthesised_module_has_its_slowest_path_named():
    report = timing_report("bitmap_scanner", AcceleratorParameters(pes=16).verilog_parameters())
    assert report.top.module == "bitmap_scanner" and "Pes" not in report.metrics()["parameters"]
    for found in report.by_wires.values():
        assert len(found.paths) == 10 and found.worst_ns == found.paths[0].delay_ns > 0
        assert all(path.start and path.end for path in found.paths)
    typical, pessimistic = report.by_wires.values()
    assert typical.worst_ns < pessimistic.worst_ns and typical.endpoints == pessimistic.endpoints


@pytest.mark.slow
def test_the_accelerator_is_as_slow_as_another_estimate_has_it():
    """P = 16, 8 bits: an estimate made outside, with the same tables, gave 7.72 and 8.80 ns."""
    parameters = AcceleratorParameters(pes=16, activation_bits=8)
    report = timing_report("accelerator", parameters.verilog_parameters())
    typical, pessimistic = report.by_wires["typical"], report.by_wires["pessimistic"]
    assert typical.worst_ns == pytest.approx(7.72, abs=0.3)
    assert pessimistic.worst_ns == pytest.approx(8.80, abs=0.3)
    path = typical.paths[0]
    assert (path.start, path.end.partition("[")[0]) == ("u_core.u_loader.place_slot_q", "u_core.u_loader.pointer_q")
    assert path.cells() == "FDRE LUT3 DSP48E1×2 LUT2 CARRY4×4 FDRE"
