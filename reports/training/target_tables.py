"""Tables of trainings that are pruned to a target: a part of zero groups, or cycles an image."""

from __future__ import annotations

from tritforge.records.setting import FLOAT_BITS
from tritforge.reports.drawing.result_table import Table
from tritforge.reports.training.cells import (
    Part,
    cycles_cell,
    difference_cell,
    percent_cell,
    points_cell,
    ratio_cell,
    seeds_cell,
    setting_note,
    sparsity_cells,
    taught_cell,
    top1_cell,
)
from tritforge.reports.training.records import Measured, Plan, find, full_precision_of


def target_selection_table(plan: Plan) -> Part:
    """Validation accuracy over *a* where all are pruned to the same part of zero groups."""
    settings = plan["target-clipping"]
    lines = [
        (
            _clipping(one),
            top1_cell(one, "validation_accuracy"),
            sparsity_cells(one)[1],
            _cut(one),
        )
        for one in settings
    ]
    columns = ("a", "held-out accuracy, %", "zero groups, %", "groups cut")
    note = (
        f"{setting_note(settings)} Pruned to {percent_cell(settings[0].setting.zero_group_target)} % zero groups. "
        "Accuracy on the held-out tenth of the training images; the test part is not looked at. Groups cut were not "
        "empty by the penalty alone."
    )
    return Part("target-clipping", Table("The choice of a for a target", columns, lines), note)


def _clipping(one: Measured) -> str:
    return "∞ (naive)" if one.setting.clipping is None else f"{one.setting.clipping:g}"


def pruned_alike_table(plan: Plan) -> Part:
    """Naive and clipped at the same part of zero groups, which a target sees to."""
    settings = [one for one in plan["sparsity"] if one.setting.activations == FLOAT_BITS]
    lines = []
    for one in settings:
        told = one.setting
        base = find(settings, method="naive", zero_group_target=told.zero_group_target)
        lines.append(
            (
                percent_cell(told.zero_group_target),
                told.method,
                top1_cell(one),
                "" if told.method == "naive" else difference_cell(one.differences(base)),
                points_cell(one.above(full_precision_of(plan, one))),
                *sparsity_cells(one),
                _cut(one),
                seeds_cell(one),
            )
        )
    columns = (
        *("pruned to zero groups, %", "method", "top-1, %", "above naive", "gap", "zero weights, %"),
        *("zero groups, %", "groups cut", "seeds"),
    )
    note = (
        f"{setting_note(settings)} A target brings both methods to the same part of zero groups, so that nothing has "
        "to be interpolated. Groups cut were not empty by the penalty alone."
    )
    return Part("pruned-alike", Table("Naive and clipped, pruned to the same zero groups", columns, lines), note)


def _cut(one: Measured) -> str:
    mean = one.mean("cut_groups")
    return "" if mean is None else f"{mean:.0f}"


def deployable_table(plan: Plan) -> Part:
    """What the accelerator can run, without and with a teacher."""
    settings = [one for one in (*plan["sparsity"], *plan["best"]) if one.setting.activations < FLOAT_BITS]
    lines = [
        (
            percent_cell(one.setting.zero_group_target),
            taught_cell(one),
            str(one.setting.epochs),
            top1_cell(one),
            top1_cell(one, "integer_top1"),
            points_cell(one.above(full_precision_of(plan, one))),
            *sparsity_cells(one),
            ratio_cell(one.mean("compression")),
            cycles_cell(one.mean("predicted_cycles")),
            seeds_cell(one),
        )
        for one in settings
    ]
    columns = (
        *("pruned to zero groups, %", "from the teacher", "epochs", "as trained, %", "integer network, %", "gap"),
        *("zero weights, %", "zero groups, %", "compression", "predicted cycles", "seeds"),
    )
    teachers = ", ".join(dict.fromkeys(one.setting.teacher for one in settings if one.setting.teacher is not None))
    note = (
        f"{setting_note(settings)} From the teacher, {teachers}, comes so much of the loss (T is 4 if not told). "
        "The gap is that of the trained model to full precision after as many epochs; the cycles are an image's on 16 "
        "PEs, by the cycle model."
    )
    return Part("sparsity", Table("8-bit activations, integer first and last layer", columns, lines), note)


def latency_table(plan: Plan) -> Part:
    """Pruned to given cycles an image, by weighting of the layers."""
    lines = []
    for one in plan["latency"]:
        weighted = one.setting.latency_weighting == "cycles"
        target = one.setting.latency_target
        alike = find(plan["latency"], latency_target=target, latency_weighting="uniform") if weighted else None
        lines.append(
            (
                cycles_cell(target),
                "by cycles" if weighted else "alike",
                cycles_cell(one.mean("predicted_cycles")),
                top1_cell(one),
                top1_cell(one, "integer_top1"),
                difference_cell(one.differences(alike)),
                difference_cell(one.differences(alike, "integer_top1")),
                *sparsity_cells(one),
                seeds_cell(one),
            )
        )
    columns = (
        *("cycles aimed at", "layers weighted", "predicted cycles", "as trained, %", "integer network, %"),
        *("above alike, as trained", "above alike, integer", "zero weights, %", "zero groups, %", "seeds"),
    )
    note = (
        f"{setting_note(plan['latency'])} λ is where the training begins; it is moved so that the cycles come out. "
        "What weighting by cycles is above weighting alike is the mean over seeds of both, ± the standard deviation "
        "of their differences."
    )
    return Part("latency", Table("Pruned to a latency", columns, lines), note)
