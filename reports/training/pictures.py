"""Pictures of training runs: accuracy over group sparsity, and the like of dissertation Figures 5, 6, 9 and 10.

All are SVG on a clear ground, in colours that show on light and dark. The same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tritforge.reports.drawing.palette import BLUE, GREY, ORANGE, TEAL, unit_rgba
from tritforge.reports.training.cells import FLOAT_BITS
from tritforge.reports.training.records import Measured, Plan, find
from tritforge.reports.training.tables import sweep_series

INK = "#78828c"
"""Text and axes: readable on white and on black."""
STYLE = {
    "svg.hashsalt": "tritforge",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
}
METHODS = ("full precision", "pruning", "ternary", "naive", "clipped")
COLOURS = {
    "full precision": unit_rgba(GREY),
    "pruning": unit_rgba(GREY),
    "ternary": unit_rgba(TEAL),
    "naive": unit_rgba(ORANGE),
    "clipped": unit_rgba(BLUE),
}
SERIES = ((COLOURS["naive"], (8, -3)), (COLOURS["clipped"], (5, 6)), (COLOURS["ternary"], (-4, -12)))
"""Colours of the sweep's lines, and where their points' labels lie."""
CLOSE = 3.0
"""Percent of zero groups within which points of a line share a label."""
STAGES = (unit_rgba(GREY), unit_rgba(TEAL), unit_rgba(BLUE), unit_rgba(ORANGE))
LAYERS = {"stage2.block1.conv1": "conv8", "stage3.block1.conv2": "conv15"}
"""The dissertation's names of ResNet-20's layers."""

Colour = tuple[float, ...]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """An SVG file, what it is called, and what it shows."""

    name: str
    title: str
    text: str
    svg: bytes


def pictures(plan: Plan) -> list[Picture]:
    """Every picture for which there are records."""
    with rc_context(STYLE):
        drawn = [draw(plan) for draw in DRAWN]
    return [picture for picture in drawn if picture is not None]


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
    model, epochs = settings[0].setting["model"], plan["sparsity"][0].setting["epochs"]
    for method in ("naive", "clipped"):
        colour = COLOURS[method]
        fixed = [one for one in plan["table3"] if (one.setting["method"], one.setting["model"]) == (method, model)]
        aimed = [one for one in plan["sparsity"] if one.setting["method"] == method]
        _points(longer, fixed, "o", colour)
        _name_penalties(longer, fixed, colour, (5, -11))
        _points(longer, [one for one in aimed if one.setting["activations"] == FLOAT_BITS], "s--", colour)
    for method, style in (("full precision", "--"), ("ternary", ":")):
        unpruned = find(plan["table3"], method=method, model=model)
        top1 = unpruned.mean("top1") if unpruned is not None else None
        if top1 is not None:
            label = f"{method}, nothing pruned"
            longer.axhline(top1, color=COLOURS[method], linestyle=style, linewidth=1.3, label=label)
    longer.plot([], [], "o", color=INK, markersize=5.5, label="a fixed λ")
    longer.plot([], [], "s--", color=INK, markersize=5.5, label="pruned to a target")
    for axes, told in ((swept, settings[0].setting["epochs"]), (longer, epochs)):
        axes.set_title(f"{told} epochs")
        axes.set_xlabel("zero PE groups, %")
        _grid(axes)
    swept.margins(y=0.12)
    swept.set_xlim(left=min(0.0, swept.get_xlim()[0]))
    swept.set_ylabel("top-1 accuracy, %")
    figure.legend(loc="outside upper center", ncols=4)
    return Picture(
        "lambda",
        "Accuracy against group sparsity",
        "A number beside a point is its λ in units of 0.0001, a bar the standard deviation over seeds. Left the sweep "
        "over λ, right the longer trainings, a = 1.",
        _svg(figure),
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
        labels[-1][2].append(f"{1e4 * one.setting['penalty']:g}")
    for groups, top1, names in labels:
        axes.annotate(
            ", ".join(names),
            (groups, top1),
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )


def weights_picture(plan: Plan) -> Picture | None:
    """Histograms of latent weights by method and stage (Figure 6)."""
    records = {method: _record(plan, method) for method in METHODS}
    held = {method: record for method, record in records.items() if record is not None and record["histograms"]}
    if not held:
        return None
    layers = list(next(iter(held.values()))["histograms"])
    figure = Figure(figsize=(2.05 * len(held) + 0.4, 1.75 * len(layers) + 0.3), layout="constrained")
    grid = figure.subplots(len(layers), len(held), squeeze=False, sharex="row", sharey="row")
    for row, layer in enumerate(layers):
        for column, (method, record) in enumerate(held.items()):
            axes, histogram = grid[row, column], record["histograms"][layer]
            counts, reach = np.array(histogram["counts"]), histogram["reach"]
            edges = np.linspace(-reach, reach, len(counts) + 1)
            axes.stairs(100 * counts / counts.sum(), edges, fill=True, color=COLOURS[method], alpha=0.85)
            axes.text(
                0.03,
                0.95,
                f"μ = {histogram['mean']:.4f}\nσ = {histogram['std']:.4f}".replace("-", "−"),
                transform=axes.transAxes,
                va="top",
                fontsize=8,
            )
            axes.set_yscale("log")
            axes.set_ylim(0.02, 100)
            axes.minorticks_off()
            axes.tick_params(labelsize=8)
            axes.locator_params(axis="x", nbins=3)
            if row == 0:
                axes.set_title(method)
            if column == 0:
                axes.set_ylabel(layer.split(".")[0].replace("stage", "stage ") + "\n% of weights", fontsize=8.5)
    return Picture(
        "weights",
        "Latent weights",
        "The first block's second convolution of each stage; dissertation Figure 6. The vertical axis is logarithmic; "
        "the outermost bins hold all that lies beyond.",
        _svg(figure),
    )


def evolution_picture(plan: Plan) -> Picture | None:
    """Clipping thresholds and zero groups of each layer over the epochs (Figure 9)."""
    record = _record(plan, "clipped")
    if record is None:
        return None
    history = record["history"]
    panels = {
        "delta.": ("clipping threshold δ", 1.0),
        "zero_groups.": ("zero groups of a layer, %", 100.0),
    }
    figure = Figure(figsize=(9.4, 3.7), layout="constrained")
    for axes, (prefix, (label, factor)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        columns = [name for name in history if name.startswith(prefix)]
        stages = [name.removeprefix(prefix).split(".")[0] for name in columns]
        for index, (column, stage) in enumerate(zip(columns, stages, strict=True)):
            order = sorted(set(stages)).index(stage)
            inside = stages[:index].count(stage)
            axes.plot(
                history["epoch"],
                factor * np.array(history[column], float),
                color=STAGES[order % len(STAGES)],
                alpha=1.0 - 0.7 * inside / max(1, stages.count(stage) - 1),
                linewidth=1.3,
                label=f"stage {order + 1}" if inside == 0 else None,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _grid(axes)
    axes.plot(
        history["epoch"],
        100 * np.array(history["zero_group_fraction"], float),
        "--",
        color=unit_rgba(ORANGE),
        linewidth=2,
        label="all layers",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return Picture(
        "evolution",
        "Thresholds and zero groups while training",
        f"{_shown(record)}, clipped; a line is a layer, the fainter the later in its stage; dissertation Figure 9.",
        _svg(figure),
    )


def norms_picture(plan: Plan) -> Picture | None:
    """Distribution of group norms, naive against clipped (Figure 10)."""
    records = {method: _record(plan, method) for method in ("naive", "clipped")}
    held = {method: record for method, record in records.items() if record is not None}
    layers = list(dict.fromkeys(layer for record in held.values() for layer in record["group_norms"]))
    if not layers:
        return None
    figure = Figure(figsize=(4.7 * len(layers), 3.6), layout="constrained")
    for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers, strict=True):
        norms = {method: np.array(record["group_norms"][layer]) for method, record in held.items()}
        edges = np.linspace(0, 1.02 * max(float(values.max()) for values in norms.values()), 25)
        for method, values in norms.items():
            share = 100 * np.histogram(values, edges)[0] / len(values)
            axes.stairs(share, edges, fill=True, color=COLOURS[method], alpha=0.3)
            axes.stairs(
                share,
                edges,
                color=COLOURS[method],
                linewidth=1.6,
                label=f"{method}: least {values.min():.3f}, deviation {values.std():.3f}",
            )
        axes.set_title(f"{layer} ({LAYERS[layer]})" if layer in LAYERS else layer)
        axes.set_xlabel("Euclidean norm of a PE group")
        axes.set_ylabel("% of the groups")
        axes.margins(y=0.25)
        axes.legend(loc="upper right", fontsize=8.5)
        _grid(axes)
    return Picture(
        "norms",
        "Group norms",
        "A norm that is far from the others is easy to keep or to drop; dissertation Figure 10.",
        _svg(figure),
    )


def trits_picture(plan: Plan) -> Picture | None:
    """Stitched ternary kernels without and with group sparsity (Figure 5)."""
    records = {method: _record(plan, method) for method in ("ternary", "clipped")}
    held = {method: record["trits"] for method, record in records.items() if record is not None and record["trits"]}
    if not held:
        return None
    layers = list(next(iter(held.values())))
    drawn = {
        (method, layer): stitched(trits[layer]) for layer in layers for method, trits in held.items() if layer in trits
    }
    widths = [next(one.shape[1] for (_, name), one in drawn.items() if name == layer) for layer in layers]
    figure = Figure(figsize=(0.062 * sum(widths) + 0.8, 0.062 * 48 * len(held) + 0.9), layout="constrained")
    grid = figure.subplots(len(held), len(layers), squeeze=False, width_ratios=widths)
    shades = ListedColormap(["#ffffff", "#9aa2aa", "#101418"])
    for row, method in enumerate(held):
        for column, layer in enumerate(layers):
            axes, pixels = grid[row, column], drawn[method, layer]
            axes.imshow(np.kron(pixels, np.ones((6, 6), np.int8)), cmap=shades, vmin=-1, vmax=1, interpolation="none")
            axes.set_xticks([18 * index - 0.5 for index in range(1, pixels.shape[1] // 3)], [])
            axes.set_yticks([18 * index - 0.5 for index in range(1, pixels.shape[0] // 3)], [])
            axes.grid(color=INK, linewidth=0.35)
            axes.tick_params(length=0)
            axes.spines[["top", "right"]].set_visible(True)
            axes.set_title(f"{method}: {layer}", fontsize=9)
    return Picture(
        "trits",
        "Kernels",
        "A cell is a 3 × 3 kernel, a column an output channel, a row an input channel; white is −1, grey 0, black +1. "
        "With sixteen input channels a column is a PE group. Dissertation Figure 5.",
        _svg(figure),
    )


def stitched(rows: Sequence[str]) -> np.ndarray:
    """Trits of a layer as one picture: kernel after kernel, outputs from left to right, inputs from top to bottom."""
    values = np.array([["0+-".index(sign) for sign in row] for row in rows])
    trits = np.where(values == 2, -1, values).astype(np.int8)
    outputs, inputs = len(rows), len(rows[0]) // 9
    return trits.reshape(outputs, inputs, 3, 3).transpose(1, 2, 0, 3).reshape(3 * inputs, 3 * outputs)


DRAWN: tuple[Callable[[Plan], Picture | None], ...] = (
    sweep_picture,
    weights_picture,
    evolution_picture,
    norms_picture,
    trits_picture,
)


def _record(plan: Plan, method: str) -> Record | None:
    """The record of a method's first setting in Table 3, of its lowest seed."""
    one = find(plan["table3"], method=method)
    return one.records[0] if one is not None and one.records else None


def _shown(record: Record) -> str:
    return str(record["model"]).replace("resnet", "ResNet-")


def _grid(axes: Axes) -> None:
    axes.grid(color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _svg(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()
