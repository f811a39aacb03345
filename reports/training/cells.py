"""What tables of training runs are made of: the form of a table, of its cells, and of what its settings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tritforge.records.setting import FLOAT_BITS
from tritforge.records.training_record import Figure
from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.records import Measured

NOT_RUN = "not run"


@dataclass(frozen=True)
class Part:
    """A table with what is to be said of it; ``name`` is the experiment's."""

    name: str
    table: Table
    note: str


SPARSE = ("top-1, %", "zero weights, %", "zero groups, %")
"""Columns of :func:`top1_cell` and :func:`sparsity_cells`."""


def network_cell(model: str) -> str:
    """``ResNet-20``."""
    return model.replace("resnet", "ResNet-")


def top1_cell(one: Measured | None, name: Figure = "top1") -> str:
    """A figure in percent: mean, ± standard deviation over seeds; "not run" where there is none."""
    mean = one.mean(name) if one is not None else None
    if one is None or mean is None:
        return NOT_RUN
    spread = one.spread(name)
    return f"{mean:.2f} ± {spread:.2f}" if spread is not None else f"{mean:.2f}"


def sparsity_cells(one: Measured | None) -> tuple[str, str]:
    """Zero weights and zero groups in percent; empty for full precision."""
    if one is None or one.setting.method == "full precision":
        return "", ""
    means = (one.mean("zero_fraction"), one.mean("zero_group_fraction"))
    weights, groups = (f"{100 * mean:.1f}" if mean is not None else "" for mean in means)
    return weights, groups


def seeds_cell(one: Measured) -> str:
    """The seeds that were run."""
    return ", ".join(str(record.seed) for record in one.records)


def points_cell(difference: float | None) -> str:
    """A difference in percentage points, with its sign."""
    return "" if difference is None else f"{difference:+.2f}".replace("-", "−")


def difference_cell(differences: Sequence[float]) -> str:
    """Mean and standard deviation of differences in percentage points."""
    if not differences:
        return ""
    spread = f" ± {stdev(differences):.2f}" if len(differences) > 1 else ""
    return points_cell(fmean(differences)) + spread


def ratio_cell(value: float | None) -> str:
    """So many times."""
    return "" if value is None else f"{value:.4g} ×"


def cycles_cell(cycles: float | None) -> str:
    """Cycles an image; empty where there are none."""
    return "" if cycles is None else f"{cycles:,.0f}"


def percent_cell(fraction: float | None) -> str:
    """A fraction that was asked for, in percent; empty where none was."""
    return "" if fraction is None else f"{100 * fraction:g}"


def number_cell(value: float | None) -> str:
    """A number as it is; empty where there is none."""
    return "" if value is None else f"{value:g}"


def taught_cell(one: Measured) -> str:
    """What part of the loss comes from a teacher; empty without one."""
    told = one.setting
    if told.teacher is None:
        return ""
    softened = f", T = {number_cell(told.temperature)}" if told.temperature != 4 else ""
    maps = f", maps {number_cell(told.feature_matching)}" if told.feature_matching else ""
    return f"{number_cell(told.distillation)}{softened}{maps}"


def setting_note(settings: Sequence[Measured], table: str = "") -> str:
    """What the settings of a table have in common, and which one of the dissertation stands beside it."""
    held = [one.setting for one in settings]
    told = ["one cycle" if all(one.schedule == "one_cycle" for one in held) else "steps"]
    if len({one.epochs for one in held}) == 1:
        told.insert(0, f"{held[0].epochs} epochs")
    clipped = [one for one in held if one.clipping is not None]
    if len({one.penalty for one in clipped}) == 1 and all(one.zero_group_target is None for one in clipped):
        told.append(f"λ = {clipped[0].penalty:g}")
    if len({one.clipping for one in clipped}) == 1:
        told.append(f"a = {clipped[0].clipping:g}")
    if len({one.activations for one in held}) == 1:
        bits = held[0].activations
        told.append("activations in floating point" if bits == FLOAT_BITS else f"{bits}-bit activations")
    beside = f" Beside it {table} of the dissertation: CIFAR-10, 160 epochs." if table else ""
    return f"{', '.join(told)}; last epoch.{beside}"
