"""Horizontal bars: values to lengths in percent of the widest, on a linear or logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One bar: what it stands for, its value, the value as told, its colour class, and its length in percent."""

    label: str
    value: float
    text: str
    kind: str
    length: float = 0.0


def scaled(bars: Iterable[Bar], top: float | None = None, decades_from: float | None = None) -> list[Bar]:
    """The bars with lengths.

    Args:
        bars: values 0 or more.
        top: value of a full-length bar; the largest when not given.
        decades_from: value of a bar of no length, which makes the scale logarithmic.
    """
    bars = list(bars)
    top = top if top is not None else max((bar.value for bar in bars), default=0.0)

    def length(value: float) -> float:
        if decades_from is None:
            share = value / top if top else 0.0
        else:
            share = math.log(max(value, decades_from) / decades_from) / math.log(top / decades_from)
        return round(100.0 * share, 3)

    return [Bar(bar.label, bar.value, bar.text, bar.kind, length(bar.value)) for bar in bars]
