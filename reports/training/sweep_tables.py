"""Tables of the sweep over λ, naive against clipped, and of the choice of λ and *a*."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.cells import NOT_RUN, SPARSE, Part, points_cell, setting_note, sparsity_cells, top1_cell
from tritforge.reports.training.records import LEAST, Measured, Plan, find

MATCHED_LEVELS = 5
"""Zero-group fractions at which naive and clipped are compared, evenly spread over those that both reach."""


def sweep_series(plan: Plan) -> dict[str, list[Measured]]:
    """The settings of the sweep over λ: naive, then clipped by *a*."""
    series: dict[str, list[Measured]] = {}
    for one in sorted(plan["lambda-sweep"], key=lambda one: one.setting.clipping or 0.0):
        clipping = one.setting.clipping
        series.setdefault("naive" if clipping is None else f"clipped, a = {clipping:g}", []).append(one)
    return series


def sweep_table(plan: Plan) -> Part:
    """Naive and clipped by λ."""
    settings, series = plan["lambda-sweep"], sweep_series(plan)
    lines = []
    for penalty in sorted({one.setting.penalty for one in settings}):
        found = [find(alike, penalty=penalty) for alike in series.values()]
        lines.append((f"{penalty:g}", *(cell for one in found for cell in (top1_cell(one), *sparsity_cells(one)))))
    columns = ("λ", *(f"{name}: {what}" for name in series for what in SPARSE))
    return Part("lambda-sweep", Table("Over λ", columns, lines), setting_note(settings))


def matched_table(plan: Plan) -> Part:
    """Naive and clipped at equal zero-group fractions, each linear between its measured points."""
    curves = {name: curve(settings) for name, settings in sweep_series(plan).items()}
    naive = curves.pop("naive", [])
    lines = [line for name, clipped in curves.items() for line in _matched(name, naive, clipped)]
    columns = ("method", "zero groups, %", "top-1, %", "naive, %", "above naive")
    note = (
        "Interpolated linearly between the measured points of the table above, from the least to the most group "
        "sparsity that both methods reach."
    )
    return Part("matched", Table("At equal group sparsity", columns, lines or [(NOT_RUN, *[""] * 4)]), note)


def _matched(
    name: str, naive: Sequence[tuple[float, float]], clipped: Sequence[tuple[float, float]]
) -> list[tuple[str, ...]]:
    if len(naive) < 2 or len(clipped) < 2:
        return [(name, NOT_RUN, "", "", "")]
    least, most = max(naive[0][0], clipped[0][0]), min(naive[-1][0], clipped[-1][0])
    if least >= most:
        return [(name, "none in common", "", "", "")]
    lines: list[tuple[str, ...]] = []
    for level in np.linspace(least, most, MATCHED_LEVELS):
        ours, theirs = _between(clipped, float(level)), _between(naive, float(level))
        lines.append((name, f"{100 * level:.1f}", f"{ours:.2f}", f"{theirs:.2f}", points_cell(ours - theirs)))
    return lines


def _between(points: Sequence[tuple[float, float]], level: float) -> float:
    """The second value of points that rise in the first, linear between them."""
    return float(np.interp(level, [groups for groups, _ in points], [top1 for _, top1 in points]))


def curve(settings: Sequence[Measured]) -> list[tuple[float, float]]:
    """Mean zero-group fraction and top-1 of the settings that were run, by rising fraction."""
    points = [(one.mean("zero_group_fraction"), one.mean("top1")) for one in settings]
    return sorted((groups, top1) for groups, top1 in points if groups is not None and top1 is not None)


def selection_table(plan: Plan) -> Part:
    """Validation accuracy and zero groups over λ and *a*."""
    settings = plan["lambda-clipping"]
    penalties = list(dict.fromkeys(one.setting.penalty for one in settings))
    lines = []
    for clipping in dict.fromkeys(one.setting.clipping for one in settings):
        cells = []
        for penalty in penalties:
            one = find(settings, penalty=penalty, clipping=clipping)
            accuracy = one.mean("validation_accuracy") if one is not None else None
            groups = one.mean("zero_group_fraction") if one is not None else None
            told = accuracy is not None and groups is not None
            cells.append(f"{accuracy:.2f} / {100 * groups:.1f}" if told else NOT_RUN)  # type: ignore[operator]
        lines.append((f"{clipping:g}", *cells))
    columns = ("a", *(f"λ = {penalty:g}" for penalty in penalties))
    note = (
        f"{setting_note(settings)} Accuracy on the held-out tenth of the training images / zero groups, both in "
        "percent. The test part is not looked at. "
        f"The best accuracy {'; '.join(_best(settings, least) for least in LEAST)}."
    )
    return Part("lambda-clipping", Table("The choice of λ and a", columns, lines), note)


def _best(settings: Sequence[Measured], least: float) -> str:
    """The setting of the highest validation accuracy among those with enough zero groups; of equal ones the sparser."""
    told = []
    for one in settings:
        accuracy, groups = one.mean("validation_accuracy"), one.mean("zero_group_fraction")
        if accuracy is not None and groups is not None and groups >= least:
            told.append((accuracy, groups, f"λ = {one.setting.penalty:g}, a = {one.setting.clipping:g}"))
    return f"with at least {100 * least:g} % zero groups: {max(told)[2] if told else 'none run'}"
