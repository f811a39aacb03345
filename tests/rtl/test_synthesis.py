"""Synthesis by Yosys: rows of adders cost one LUT a bit, units are counted by instance, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritforge.builds import build_root
from tritforge.rtl.area import area_report
from tritforge.rtl.netlist import area
from tritforge.rtl.synthesis import SynthesisError, synthesise, unit_counts


@pytest.mark.parametrize(("module", "width"), [("pair_row", 8), ("add_row", 9)])
def test_a_row_takes_a_lut_a_bit(module: str, width: int):
    design = synthesise(module, {"Width": width})
    found = area(design.netlists[design.top])
    assert (found.lut, found.carry_sites, found.carry4, found.ff) == (width, width, -(-width // 4), 0)


def test_units_are_counted_with_their_parameters_and_kept():
    told: list[str] = []
    design = synthesise("accumulator", {"PassOutputs": 32}, advance=told.append)
    widths = {
        dict(unit.parameters)["Width"]: count for unit, count in unit_counts(design).items() if unit != design.top
    }
    assert widths == {12: 1, 13: 1} and sorted(told) == ["accumulator", "accumulator_half", "accumulator_half"]
    for unit, netlist in design.netlists.items():
        if unit.module == "accumulator_half":
            width = dict(unit.parameters)["Width"]
            assert len(netlist.ports["partial_i"][1]) == width
            assert area(netlist).lut_logic <= width + 1 and area(netlist).ff == 0
    root = build_root() / "synthesis"
    written = {path: path.stat().st_mtime_ns for path in root.glob("accumulator*/netlist.json")}
    assert len(written) >= 3
    assert synthesise("accumulator", {"PassOutputs": 32}) == design
    assert {path: path.stat().st_mtime_ns for path in root.glob("accumulator*/netlist.json")} == written


def test_a_control_module_is_mapped_to_its_tighter_delay():
    report = area_report("image_input", {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8})
    assert report.paths.luts.levels <= 6 and report.paths.carry4.levels <= 6


def test_an_unknown_module_is_refused():
    with pytest.raises(SynthesisError, match="no module tritforge_pkg"):
        synthesise("tritforge_pkg")


def test_parameters_that_yosys_refuses_are_told(tmp_path: Path):
    with pytest.raises(SynthesisError, match=r"Yosys refused carry_chain \{'Width': 0\}") as refusal:
        synthesise("carry_chain", {"Width": 0}, tmp_path)
    assert "ERROR" in refusal.value.details


@pytest.mark.slow
def test_the_accelerator_is_within_its_limits():
    report = area_report("accelerator", {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8})
    assert report.total.lut <= 39_900 and report.total.ff <= 85_000
    assert report.total.bram36 <= 112 and report.total.dsp <= 154
    assert report.paths.luts.levels <= 7 and report.paths.carry4.levels <= 6 and report.paths.dsp.levels <= 2
    assert all(loads <= 64 for _, loads in report.paths.fan_out)


@pytest.mark.slow
def test_a_pe_is_within_eleven_luts_a_lane():
    report = area_report("pe_array", {"Pes": 16, "GroupChannels": 16, "ActivationBits": 8})
    assert report.lut_per_lane is not None and report.lut_per_lane <= 11
    assert report.total.dsp == 0
    assert report.paths.luts.levels <= 6 and report.paths.carry4.levels <= 6
    assert all(loads <= 64 for _, loads in report.paths.fan_out)
