"""The picture of accuracy over group sparsity, naive against clipped."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritforge.records.setting import FLOAT_BITS
from tritforge.reports.training.picture import COLOURS, INK, Colour, Picture, add_grid, svg
from tritforge.reports.training.records import Measured, Plan, find
from tritforge.reports.training.sweep_tables import sweep_series

SERIES = ((COLOURS["naive"], (8, -3)), (COLOURS["clipped"], (5, 6)), (COLOURS["ternary"], (-4, -12)))
"""Colours of the sweep's lines, and where their points' labels lie."""
CLOSE = 3.0
"""Percent of zero groups within which points of a line share a label."""


def sweep_picture(plan: Plan) -> Picture | None:
    """Top-1 over zero groups, naive against clipped: the sweep over λ, and beside it the longer trainings.

    Of the longer ones those with a fixed λ and those that are pruned to a target, and networks with all of their groups
    as lines; a bar is the standard deviation over seeds.
    """
    settings = plan["lambda-sweep"]
    if not any(one.records for one in settings):
        return None
    figure = Figure(figsize=(9.6, 4.3), layout="constrained")
    swept, longer = figure.subplots(1, 2, sharex=True, sharey=True)
    for (name, alike), (colour, offset) in zip(sweep_series(plan).items(), SERIES, strict=False):
        _points(swept, alike, "o-", colour, name)
        _name_penalties(swept, alike, colour, offset)
    model, epochs = settings[0].setting.model, plan["sparsity"][0].setting.epochs
    for method in ("naive", "clipped"):
        colour = COLOURS[method]
        fixed = [one for one in plan["table3"] if (one.setting.method, one.setting.model) == (method, model)]
        aimed = [one for one in plan["sparsity"] if one.setting.method == method]
        _points(longer, fixed, "o", colour)
        _name_penalties(longer, fixed, colour, (5, -11))
        _points(longer, [one for one in aimed if one.setting.activations == FLOAT_BITS], "s--", colour)
    for method, style in (("full precision", "--"), ("ternary", ":")):
        unpruned = find(plan["table3"], method=method, model=model)
        top1 = unpruned.mean("top1") if unpruned is not None else None
        if top1 is not None:
            label = f"{method}, nothing pruned"
            longer.axhline(top1, color=COLOURS[method], linestyle=style, linewidth=1.3, label=label)
    longer.plot([], [], "o", color=INK, markersize=5.5, label="a fixed λ")
    longer.plot([], [], "s--", color=INK, markersize=5.5, label="pruned to a target")
    for axes, told in ((swept, settings[0].setting.epochs), (longer, epochs)):
        axes.set_title(f"{told} epochs")
        axes.set_xlabel("zero PE groups, %")
        add_grid(axes)
    swept.margins(y=0.12)
    swept.set_xlim(left=min(0.0, swept.get_xlim()[0]))
    swept.set_ylabel("top-1 accuracy, %")
    figure.legend(loc="outside upper center", ncols=4)
    return Picture(
        "lambda",
        "Accuracy against group sparsity",
        "A number beside a point is its λ in units of 0.0001, a bar the standard deviation over seeds. Left the sweep "
        "over λ, right the longer trainings, a = 1.",
        svg(figure),
    )


def _points(axes: Axes, settings: Sequence[Measured], form: str, colour: Colour, label: str | None = None) -> None:
    """Mean top-1 over mean zero groups of the settings that were run, with the spread over seeds where there is one."""
    points = sorted((groups, top1, one.spread("top1") or 0.0) for one, groups, top1 in _measured(settings))
    axes.errorbar(
        [groups for groups, _, _ in points],
        [top1 for _, top1, _ in points],
        [spread for _, _, spread in points],
        fmt=form,
        color=colour,
        label=label,
        markersize=5.5,
        linewidth=1.6,
    )


def _measured(settings: Sequence[Measured]) -> list[tuple[Measured, float, float]]:
    """The settings that were run, with mean zero groups and top-1 in percent."""
    means = [(one, one.mean("zero_group_fraction"), one.mean("top1")) for one in settings]
    return [(one, 100 * groups, top1) for one, groups, top1 in means if groups is not None and top1 is not None]


def _name_penalties(axes: Axes, settings: Sequence[Measured], colour: Colour, offset: tuple[int, int]) -> None:
    """λ beside each point; those of points that lie close together in one label."""
    labels: list[tuple[float, float, list[str]]] = []
    for one, groups, top1 in sorted(_measured(settings), key=lambda point: point[1]):
        if not labels or groups - labels[-1][0] >= CLOSE:
            labels.append((groups, top1, []))
        labels[-1][2].append(f"{1e4 * one.setting.penalty:g}")
    for groups, top1, names in labels:
        axes.annotate(
            ", ".join(names),
            (groups, top1),
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
