"""The dissertation's measurement of three layers on hardware (Table 7), beside our own of the same layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritforge.errors import ResultFileError

SOURCE = "dissertation, Table 7: three layers, 16-bit activations, 8 PEs, against the same array issuing every group"
COLUMNS = (
    "layer",
    "groups",
    "non-zero",
    "cycles, every group",
    "cycles, skipping",
    "speedup",
    "ideal",
    "of ideal",
    "Table 7 speedup",
    "Table 7 ideal",
    "Table 7 of ideal",
)


@dataclass(frozen=True)
class Table7Layer:
    """A row of Table 7: groups, those that are not zero, and the measured speedup."""

    groups: int
    nonzero_groups: int
    speedup: float

    @property
    def ideal_speedup(self) -> float:
        return self.groups / self.nonzero_groups

    @property
    def fraction_of_ideal(self) -> float:
        return self.speedup / self.ideal_speedup


TABLE_7 = (Table7Layer(16, 9, 1.56), Table7Layer(64, 33, 1.69), Table7Layer(256, 119, 1.73))


def layers_table(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows for :data:`COLUMNS` from the metrics of ``tritforge bench layers``; Table 7's three beside the first three.

    Raises:
        ResultFileError: the metrics are not those of that command.
    """
    rows: list[tuple[str, ...]] = []
    try:
        for index, layer in enumerate(metrics["layers"]):
            paper = TABLE_7[index] if index < len(TABLE_7) else None
            rows.append(
                (
                    str(layer["name"]),
                    f"{layer['groups']:,}",
                    f"{layer['nonzero_groups']:,}",
                    f"{layer['cycles_dense']:,.0f}",
                    f"{layer['cycles_sparse']:,.0f}",
                    f"{layer['speedup']:.2f} ×",
                    f"{layer['ideal_speedup']:.2f} ×",
                    f"{100 * layer['efficiency']:.1f} %",
                    f"{paper.speedup:.2f} ×" if paper else "",
                    f"{paper.ideal_speedup:.2f} ×" if paper else "",
                    f"{100 * paper.fraction_of_ideal:.0f} %" if paper else "",
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ResultFileError(f"these are no metrics of tritforge bench layers: {error}") from error
    return rows
