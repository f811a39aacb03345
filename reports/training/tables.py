"""Tables of training runs beside dissertation Tables 1, 3 and 6, and of the choices that they rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.cells import (
    NOT_RUN,
    SPARSE,
    Part,
    network_cell,
    number_cell,
    points_cell,
    ratio_cell,
    seeds_cell,
    setting_note,
    sparsity_cells,
    top1_cell,
)
from tritforge.reports.training.published import TABLE_1, TABLE_3, TABLE_6, Published
from tritforge.reports.training.records import LEAST, Measured, Plan, find, full_precision_of
from tritforge.reports.training.target_tables import (
    deployable_table,
    gap_table,
    latency_table,
    pruned_alike_table,
    target_selection_table,
)

MATCHED_LEVELS = 5
"""Zero-group fractions at which naive and clipped are compared, evenly spread over those that both reach."""


def parts(plan: Plan) -> list[Part]:
    """Every table, in order. What has no record is told as "not run"."""
    return [
        table_1(plan),
        table_3(plan),
        table_6(plan),
        sweep_table(plan),
        matched_table(plan),
        pruned_alike_table(plan),
        selection_table(plan),
        target_selection_table(plan),
        deployable_table(plan),
        gap_table(plan),
        latency_table(plan),
        ends_table(plan),
    ]


def table_1(plan: Plan) -> Part:
    """Full precision and clipped by network (Table 1)."""
    models = list(TABLE_1["clipped"])
    full, clipped = (
        [find(plan["table1"], method=method, model=model) for model in models]
        for method in ("full precision", "clipped")
    )
    gaps = [own.above(base) if own is not None else None for own, base in zip(clipped, full, strict=True)]
    lines = [
        ("full precision", *(top1_cell(one) for one in full)),
        ("clipped", *(top1_cell(one) for one in clipped)),
        ("gap", *(points_cell(gap) if gap is not None else NOT_RUN for gap in gaps)),
        *((f"Table 1, {method}", *(f"{TABLE_1[method][m]:.2f}" for m in models)) for method in TABLE_1),
        (
            "Table 1, gap",
            *(points_cell(TABLE_1["clipped"][m] - TABLE_1["full precision"][m]) for m in models),
        ),
    ]
    columns = ("top-1 accuracy, %", *(network_cell(model) for model in models))
    return Part("table1", Table("Full precision and clipped", columns, lines), setting_note(plan["table1"], "Table 1"))


def table_3(plan: Plan) -> Part:
    """The five methods (Table 3)."""
    lines = []
    for one in plan["table3"]:
        model, method = one.setting.model, one.setting.method
        theirs = TABLE_3.get(model, {}).get(method)
        if method == "full precision" and model in TABLE_1[method]:
            theirs = Published(TABLE_1[method][model])
        base = TABLE_1["full precision"].get(model)
        gap = theirs.top1 - base if theirs is not None and base is not None and method != "full precision" else None
        lines.append(
            (
                network_cell(model),
                method,
                top1_cell(one),
                points_cell(None if method == "full precision" else one.above(full_precision_of(plan, one))),
                *sparsity_cells(one),
                ratio_cell(None if method == "full precision" else one.mean("compression")),
                seeds_cell(one),
                *_published(theirs, gap),
            )
        )
    columns = (
        *("network", "method", "top-1, %", "gap", "zero weights, %", "zero groups, %", "compression", "seeds"),
        *(f"Table 3 {name}" for name in ("top-1", "gap", "zero weights", "zero groups", "compression")),
    )
    return Part("table3", Table("Five methods", columns, lines), setting_note(plan["table3"], "Table 3"))


def _published(theirs: Published | None, gap: float | None) -> tuple[str, ...]:
    if theirs is None:
        return ("",) * 5
    return (
        f"{theirs.top1:.2f}",
        points_cell(gap),
        number_cell(theirs.zero),
        number_cell(theirs.zero_groups),
        ratio_cell(theirs.compression),
    )


def table_6(plan: Plan) -> Part:
    """PE sizes (Table 6)."""
    lines = []
    for one in plan["table6"]:
        size = one.setting.group_channels
        theirs = TABLE_6.get(size)
        told = (theirs.top1, theirs.zero, theirs.zero_groups) if theirs is not None else (None, None, None)
        lines.append(
            (
                f"PE-{size}",
                top1_cell(one),
                *sparsity_cells(one),
                seeds_cell(one),
                *(number_cell(value) for value in told),
            )
        )
    columns = (
        *("PE size", "top-1, %", "zero weights, %", "zero groups, %", "seeds"),
        *(f"Table 6 {name}" for name in ("top-1", "zero weights", "zero groups")),
    )
    return Part("table6", Table("Channels of a PE group", columns, lines), setting_note(plan["table6"], "Table 6"))


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


def ends_table(plan: Plan) -> Part:
    """First and last layer in four forms."""
    lines = [
        (_ends(one.setting.end_layers), top1_cell(one), *sparsity_cells(one), seeds_cell(one)) for one in plan["ends"]
    ]
    columns = ("first and last layer", *SPARSE, "seeds")
    return Part("ends", Table("Weights of the first and last layer", columns, lines), setting_note(plan["ends"]))


def _ends(name: str) -> str:
    return f"{name.removeprefix('integer')}-bit integer" if name.startswith("integer") else name
