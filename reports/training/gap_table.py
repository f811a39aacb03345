"""The table of what networks lose to full precision by the zero groups they have."""

from __future__ import annotations

from collections.abc import Sequence

from tritforge.records.setting import FLOAT_BITS
from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.cells import (
    NOT_RUN,
    Part,
    percent_cell,
    points_cell,
    sparsity_cells,
    taught_cell,
    top1_cell,
)
from tritforge.reports.training.records import LEAST, Measured, Plan, find, full_precision_of

GAPS_OF = ("table3", "lambda-sweep", "sparsity", "best")
"""Experiments whose gaps to full precision are told."""


def gap_table(plan: Plan) -> Part:
    """What clipped networks lose to full precision, by the least part of zero groups."""
    settings = [one for name in GAPS_OF for one in plan[name]]
    model = settings[0].setting.model
    clipped = [one for one in settings if one.setting.model == model and one.setting.method == "clipped"]
    lines = []
    for kind in sorted({_kind(one) for one in clipped}):
        alike = [one for one in clipped if _kind(one) == kind]
        lines += [(*_kind_cells(alike[0]), f"{100 * least:g}", *_least_loss(plan, alike, least)) for least in LEAST]
    columns = (
        *("activations", "from the teacher", "epochs", "zero groups, at least %", "pruned", "zero groups, %"),
        *("top-1, %", "gap", "integer network's gap", "full precision, %", "its epochs"),
    )
    note = (
        "Method clipped, ResNet-20. Of the recorded settings with so many zero groups, the one with the fewest: no "
        "accuracy on the test part decides. The gap is to full precision on the same data, after as many epochs where "
        "that was planned, else after those told in the last column."
    )
    return Part("gaps", Table("Gaps to full precision", columns, lines), note)


def _kind(one: Measured) -> tuple[int, str, int]:
    """What settings must share to be compared, in the order of the lines."""
    taught = one.setting.teacher is not None
    return -one.setting.activations, taught_cell(one), one.setting.epochs if taught else -one.setting.epochs


def _kind_cells(one: Measured) -> tuple[str, str, str]:
    bits = one.setting.activations
    return "floating point" if bits == FLOAT_BITS else f"{bits}-bit", taught_cell(one), str(one.setting.epochs)


def _least_loss(plan: Plan, settings: Sequence[Measured], least: float) -> tuple[str, ...]:
    """Cells on the setting with the fewest zero groups among those with enough of them."""
    held = [one for one in settings if one.mean("top1") is not None]
    sparse = [one for one in held if (one.mean("zero_group_fraction") or 0.0) >= least]
    if not sparse:
        return ("none so sparse" if held else NOT_RUN, *[""] * 6)
    one = min(sparse, key=lambda one: one.mean("zero_group_fraction") or 0.0)
    base = full_precision_of(plan, one) or find(
        plan["table3"], method="full precision", model=one.setting.model, schedule=one.setting.schedule
    )
    return (
        _pruned(one),
        sparsity_cells(one)[1],
        top1_cell(one),
        points_cell(one.above(base)),
        points_cell(one.above(base, "integer_top1", "top1")),
        top1_cell(base),
        str(base.setting.epochs) if base is not None else "",
    )


def _pruned(one: Measured) -> str:
    """How far, or how strongly, a clipped network is pruned."""
    clipping = f"a = {one.setting.clipping:g}"
    if one.setting.zero_group_target is not None:
        return f"to {percent_cell(one.setting.zero_group_target)} %, {clipping}"
    return f"λ = {one.setting.penalty:g}, {clipping}"
