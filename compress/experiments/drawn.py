"""What a record holds to be drawn: the log of a training, and its layers."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tritforge.compress.methods.group_sparsity import group_norms, kept_weights
from tritforge.compress.models.model import Model
from tritforge.records.history import History
from tritforge.records.layers import LayerFigures
from tritforge.records.training_record import Histogram

HISTORY_ROWS = 24
BINS = 81
DIGITS = 4
"""Significant digits of what is only drawn."""


def history(log: Path) -> History:
    """The columns of a training's log, at most ``HISTORY_ROWS`` epochs of it, evenly spread and with the last one.

    None stands for what was not logged yet when an epoch ended, in a training that an older version began.
    """
    with open(log, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    stride = math.ceil(len(rows) / HISTORY_ROWS)
    kept = rows[::-1][::stride][::-1]
    names = [name for name in rows[-1] if name not in ("step", "epoch")]
    columns = {name: tuple(_short(float(row[name])) if row[name] else None for row in kept) for name in names}
    return History(tuple(int(row["epoch"]) for row in kept), columns)


def layer_figures(model: Model, group_channels: int, sparse: bool) -> LayerFigures:
    """Where the grouped layers stand and, of a model that is sparse, what part of each is zero."""
    nodes = model.topology.ternary_nodes()
    places = LayerFigures(
        name=tuple(node.name for node in nodes),
        stage=tuple(node.stage for node in nodes),
        block=tuple(node.block for node in nodes),
        role=tuple(node.role for node in nodes),
    )
    if not sparse:
        return places
    kept = kept_weights(model, group_channels)
    weights = {name: layer.weight.numel() for name, layer in model.ternary_layers().items()}
    return replace(
        places,
        zero_group_fraction=tuple(_short(1.0 - float(one.any(dim=2).float().mean())) for one in kept.values()),
        zero_fraction=tuple(_short(1.0 - float(one.sum()) / weights[name]) for name, one in kept.items()),
    )


@torch.no_grad()
def histograms(model: Model) -> dict[str, Histogram]:
    """Latent weights of the first block's second convolution of each stage (dissertation Figure 6).

    The bins of a layer are the same for every method: ``BINS`` of them over four standard deviations of the weights'
    initialisation to either side, the outermost with all that lies beyond.
    """
    layers, drawn = model.ternary_layers(), {}
    for node in model.topology.ternary_nodes():
        if (node.block, node.role) == (1, "conv2"):
            weight = layers[node.name].weight.detach()
            reach = 4 * math.sqrt(2 / (node.outputs * weight[0, 0].numel()))
            values = weight.float().cpu().numpy().ravel()
            counts, _ = np.histogram(np.clip(values, -reach, reach), BINS, (-reach, reach))
            mean, std = _short(float(values.mean())), _short(float(values.std()))
            drawn[node.name] = Histogram(mean=mean, std=std, reach=_short(reach), counts=tuple(counts.tolist()))
    return drawn


@torch.no_grad()
def drawn_norms(model: Model, group_channels: int) -> dict[str, tuple[float, ...]]:
    """Group norms, sorted, of conv8 and conv15 of ResNet-20 (dissertation Figure 10), or of the like of other depths.

    At most 256 of a layer, evenly spread over the sorted ones.
    """
    layers, nodes = model.ternary_layers(), model.topology.ternary_nodes()
    last = max((node.stage for node in nodes), default=0)
    drawn = {}
    for node in nodes:
        if (node.stage, node.block, node.role) in ((2, 1, "conv1"), (last, 1, "conv2")):
            norms = np.sort(group_norms(layers[node.name].weight, group_channels).cpu().numpy().ravel())
            chosen = norms[np.linspace(0, len(norms) - 1, min(len(norms), 256)).round().astype(int)]
            drawn[node.name] = tuple(_short(float(value)) for value in chosen)
    return drawn


def drawn_trits(model: Model) -> dict[str, tuple[str, ...]]:
    """Trits of the first layer of the first two stages (dissertation Figure 5): a string of ``-0+`` for each output."""
    layers, drawn = model.ternary_layers(), {}
    for node in model.topology.ternary_nodes():
        layer = layers[node.name]
        first = node.stage <= 2 and (node.block, node.role) == (1, "conv1")
        if first and layer.weight.numel() <= 32 * 16 * 9:
            rows = layer.trits().flatten(1).to(torch.int).tolist()
            drawn[node.name] = tuple("".join("0+-"[trit] for trit in row) for row in rows)
    return drawn


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
