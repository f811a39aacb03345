"""The picture of how thresholds and zero groups of the layers change while training (dissertation Figure 9)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tritforge.reports.drawing.palette import BLUE, GREY, ORANGE, TEAL, unit_rgba
from tritforge.reports.training.cells import network_cell
from tritforge.reports.training.picture import Picture, add_grid, svg
from tritforge.reports.training.records import Plan, record_of

STAGES = (unit_rgba(GREY), unit_rgba(TEAL), unit_rgba(BLUE), unit_rgba(ORANGE))


def evolution_picture(plan: Plan) -> Picture | None:
    """Clipping thresholds and zero groups of each layer over the epochs (Figure 9)."""
    record = record_of(plan, "clipped")
    if record is None:
        return None
    history = record.history
    panels = (
        (history.thresholds, "clipping threshold δ", 1.0),
        (history.zero_groups, "zero groups of a layer, %", 100.0),
    )
    figure = Figure(figsize=(9.4, 3.7), layout="constrained")
    for axes, (columns, label, factor) in zip(figure.subplots(1, 2), panels, strict=True):
        stages = [record.place(layer).stage for layer in columns]
        for index, (column, stage) in enumerate(zip(columns.values(), stages, strict=True)):
            order = sorted(set(stages)).index(stage)
            inside = stages[:index].count(stage)
            axes.plot(
                history.epoch,
                factor * np.array(column, float),
                color=STAGES[order % len(STAGES)],
                alpha=1.0 - 0.7 * inside / max(1, stages.count(stage) - 1),
                linewidth=1.3,
                label=f"stage {stage}" if inside == 0 else None,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        add_grid(axes)
    axes.plot(
        history.epoch,
        100 * np.array(history.zero_group_fraction, float),
        "--",
        color=unit_rgba(ORANGE),
        linewidth=2,
        label="all layers",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return Picture(
        "evolution",
        "Thresholds and zero groups while training",
        f"{network_cell(record.setting.model)}, clipped; a line is a layer, the fainter the later in its stage; "
        "dissertation Figure 9.",
        svg(figure),
    )
