"""Delays of 7-series cells and of wires, from ``delays_7series.json``: whole picoseconds, slow corner.

Cells are public figures, those of DSPs rough; a wire's delay is a guess from its fan-out, calibrated against no
placement. Both are frozen, so that estimates of different designs can be compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tritforge.rtl.cell_ways import Figure

TABLES = Path(__file__).resolve().parent / "delays_7series.json"


@dataclass(frozen=True)
class WireModel:
    """A wire's delay in ps: ``base + slope × log2(fan-out)``; enables, resets and clocks are no loads."""

    base: float
    slope: float

    def delay(self, fan_out: int) -> int:
        """Delay in ps of a net with ``fan_out`` loads, the same to each of them."""
        return round(self.base + self.slope * math.log2(fan_out))


@dataclass(frozen=True)
class Delays:
    """Delays in ps by figure, models of wires by name, and what the figures are of."""

    cells: Mapping[Figure, int]
    wires: Mapping[str, WireModel]
    corner: str
    source: str


@cache
def read_delays() -> Delays:
    """The delays of the tables."""
    document = json.loads(TABLES.read_text(encoding="utf-8"))
    cells = {
        (group, name): round(1000 * delay)
        for group, figures in document["cells"].items()
        for name, delay in figures.items()
    }
    wires = {name: WireModel(1000 * model["base"], 1000 * model["slope"]) for name, model in document["wires"].items()}
    return Delays(cells, wires, document["corner"], document["source"])
