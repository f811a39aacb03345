"""All tables of training runs, in order; those beside dissertation Tables 1, 3 and 6 are made here."""

from __future__ import annotations

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
from tritforge.reports.training.gap_table import gap_table
from tritforge.reports.training.published import TABLE_1, TABLE_3, TABLE_6, Published
from tritforge.reports.training.records import Plan, find, full_precision_of
from tritforge.reports.training.sweep_tables import matched_table, selection_table, sweep_table
from tritforge.reports.training.target_tables import (
    deployable_table,
    latency_table,
    pruned_alike_table,
    target_selection_table,
)


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


def ends_table(plan: Plan) -> Part:
    """First and last layer in four forms."""
    lines = [
        (_ends(one.setting.end_layers), top1_cell(one), *sparsity_cells(one), seeds_cell(one)) for one in plan["ends"]
    ]
    columns = ("first and last layer", *SPARSE, "seeds")
    return Part("ends", Table("Weights of the first and last layer", columns, lines), setting_note(plan["ends"]))


def _ends(name: str) -> str:
    return f"{name.removeprefix('integer')}-bit integer" if name.startswith("integer") else name
