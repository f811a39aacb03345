"""Pictures of the weights of single layers: latent weights, group norms, kernels (dissertation Figures 5, 6, 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tritforge.records.layers import Place
from tritforge.reports.training.picture import COLOURS, INK, Picture, add_grid, svg
from tritforge.reports.training.records import Plan, record_of

METHODS = ("full precision", "pruning", "ternary", "naive", "clipped")
"""In the order in which they stand side by side."""
CONVOLUTIONS = {Place(2, 1, "conv1"): "conv8", Place(3, 1, "conv2"): "conv15"}
"""The dissertation's names of ResNet-20's layers."""


def weights_picture(plan: Plan) -> Picture | None:
    """Histograms of latent weights by method and stage (Figure 6)."""
    records = {method: record_of(plan, method) for method in METHODS}
    held = {method: record for method, record in records.items() if record is not None and record.histograms}
    if not held:
        return None
    layers = list(next(iter(held.values())).histograms)
    figure = Figure(figsize=(2.05 * len(held) + 0.4, 1.75 * len(layers) + 0.3), layout="constrained")
    panels = figure.subplots(len(layers), len(held), squeeze=False, sharex="row", sharey="row")
    for row, layer in enumerate(layers):
        for column, (method, record) in enumerate(held.items()):
            axes, histogram = panels[row, column], record.histograms[layer]
            counts, reach = np.array(histogram.counts), histogram.reach
            edges = np.linspace(-reach, reach, len(counts) + 1)
            axes.stairs(100 * counts / counts.sum(), edges, fill=True, color=COLOURS[method], alpha=0.85)
            axes.text(
                0.03,
                0.95,
                f"μ = {histogram.mean:.4f}\nσ = {histogram.std:.4f}".replace("-", "−"),
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
                axes.set_ylabel(f"stage {record.place(layer).stage}\n% of weights", fontsize=8.5)
    return Picture(
        "weights",
        "Latent weights",
        "The first block's second convolution of each stage; dissertation Figure 6. The vertical axis is logarithmic; "
        "the outermost bins hold all that lies beyond.",
        svg(figure),
    )


def norms_picture(plan: Plan) -> Picture | None:
    """Distribution of group norms, naive against clipped (Figure 10)."""
    records = {method: record_of(plan, method) for method in ("naive", "clipped")}
    held = {method: record for method, record in records.items() if record is not None}
    layers = {layer: record.place(layer) for record in held.values() for layer in record.group_norms}
    if not layers:
        return None
    figure = Figure(figsize=(4.7 * len(layers), 3.6), layout="constrained")
    for axes, (layer, place) in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers.items(), strict=True):
        norms = {method: np.array(record.group_norms[layer]) for method, record in held.items()}
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
        axes.set_title(f"{layer} ({CONVOLUTIONS[place]})" if place in CONVOLUTIONS else layer)
        axes.set_xlabel("Euclidean norm of a PE group")
        axes.set_ylabel("% of the groups")
        axes.margins(y=0.25)
        axes.legend(loc="upper right", fontsize=8.5)
        add_grid(axes)
    return Picture(
        "norms",
        "Group norms",
        "A norm that is far from the others is easy to keep or to drop; dissertation Figure 10.",
        svg(figure),
    )


def trits_picture(plan: Plan) -> Picture | None:
    """Stitched ternary kernels without and with group sparsity (Figure 5)."""
    records = {method: record_of(plan, method) for method in ("ternary", "clipped")}
    held = {method: record.trits for method, record in records.items() if record is not None and record.trits}
    if not held:
        return None
    layers = list(next(iter(held.values())))
    drawn = {
        (method, layer): stitched(trits[layer]) for layer in layers for method, trits in held.items() if layer in trits
    }
    widths = [next(one.shape[1] for (_, name), one in drawn.items() if name == layer) for layer in layers]
    figure = Figure(figsize=(0.062 * sum(widths) + 0.8, 0.062 * 48 * len(held) + 0.9), layout="constrained")
    panels = figure.subplots(len(held), len(layers), squeeze=False, width_ratios=widths)
    shades = ListedColormap(["#ffffff", "#9aa2aa", "#101418"])
    for row, method in enumerate(held):
        for column, layer in enumerate(layers):
            axes, pixels = panels[row, column], drawn[method, layer]
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
        svg(figure),
    )


def stitched(rows: Sequence[str]) -> np.ndarray:
    """Trits of a layer as one picture: kernel after kernel, outputs from left to right, inputs from top to bottom."""
    values = np.array([["0+-".index(sign) for sign in row] for row in rows])
    trits = np.where(values == 2, -1, values).astype(np.int8)
    outputs, inputs = len(rows), len(rows[0]) // 9
    return trits.reshape(outputs, inputs, 3, 3).transpose(1, 2, 0, 3).reshape(3 * inputs, 3 * outputs)
