"""The area of an accelerator, or of a module of it: what ``tritforge bench area`` tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tritforge.rtl.netlist import Area, area
from tritforge.rtl.netlist_paths import Paths, paths
from tritforge.rtl.synthesis import Design, Unit, own_parameters, synthesise, unit_counts

NOTE = "Yosys, synth_xilinx -family xc7: cells after mapping, not placed for 7-series; no clock rate follows from it"

ACCUMULATOR = "accumulator_half"
"""Module whose logic is the accumulate adder."""


@dataclass(frozen=True)
class AreaReport:
    """Area of a design: all of it, each unit alone with how often it is there, LUTs a lane, paths and fan-out.

    ``lut_per_lane`` counts the LUTs of a PE and of its accumulate adder, without the sums' memories; None where the
    design has no PE.
    """

    total: Area
    units: list[tuple[Unit, int, Area]]
    lut_per_lane: float | None
    paths: Paths

    def metrics(self) -> dict[str, Any]:
        """Metrics of the result file."""
        deep = self.paths
        return {
            "note": NOTE,
            "lut": self.total.lut,
            **asdict(self.total),
            "lut_per_lane": self.lut_per_lane,
            "logic_levels": deep.luts.levels,
            "carry4_levels": deep.carry4.levels,
            "dsp_levels": deep.dsp.levels,
            "deepest_path": {kind: asdict(getattr(deep, kind)) for kind in ("luts", "carry4", "dsp")},
            "fan_out": [{"net": net, "loads": loads} for net, loads in deep.fan_out],
            "units": [
                {
                    "module": unit.module,
                    "parameters": dict(unit.parameters),
                    "count": count,
                    "lut": own.lut,
                    **asdict(own),
                }
                for unit, count, own in self.units
            ],
        }


def area_report(
    module: str, parameters: Mapping[str, int], advance: Callable[[str], None] = lambda unit: None
) -> AreaReport:
    """Synthesise a module with those of ``parameters`` that it has, and measure it.

    Raises:
        SynthesisError: Yosys refused a unit, or there is no such module.
    """
    design = synthesise(module, own_parameters(module, parameters), advance=advance)
    counts = unit_counts(design)
    units = [(unit, count, area(design.netlists[unit])) for unit, count in counts.items()]
    total = Area()
    for _, count, own in units:
        total += own * count
    return AreaReport(total, units, _lut_per_lane(design, counts), paths(design))


def _lut_per_lane(design: Design, counts: Mapping[Unit, int]) -> float | None:
    pe = next((unit for unit in counts if unit.module == "pe"), None)
    if pe is None:
        return None
    lut = area(design.netlists[pe]).lut
    for unit, count in counts.items():
        if unit.module == ACCUMULATOR:
            lut += area(design.netlists[unit]).lut_logic * count // counts[pe]
    lanes = len(design.netlists[pe].ports["pairs_i"][1]) * 2 // 3  # three bits for each pair of lanes
    return round(lut / lanes, 3)
