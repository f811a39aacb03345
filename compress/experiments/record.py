"""The record of a training run: its figures, how they came about, and what the pictures draw, as a result file."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tritforge.compress.experiments.plan import run_name, setting
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.group_sparsity import kept_weights, zero_fraction
from tritforge.compress.methods.weight_penalty_clipping import group_norms
from tritforge.compress.models.evaluation import model_accuracy
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.run.run_folder import LOG_FILE
from tritforge.compress.training.evaluate_target import network_accuracy
from tritforge.compress.training.train import TrainingRun
from tritforge.cost.cycle_model import predict
from tritforge.errors import ProgramError
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.records.history import History
from tritforge.records.layers import LayerFigures
from tritforge.records.setting import FLOAT_BITS
from tritforge.records.training_record import Histogram, TrainingRecord

HISTORY_ROWS = 24
BINS = 81
DIGITS = 4
"""Significant digits of what is only drawn."""


def training_record(recipe: Recipe, done: TrainingRun, seconds: float) -> TrainingRecord:
    """The record of a finished run, evaluated on the test part unless a part of the training data was held out.

    Args:
        recipe: its recipe.
        done: the run.
        seconds: what it took, all its pieces together.
    """
    model, data = done.model, done.dataset
    tested = done.validation_accuracy is None  # else the run chooses a setting: the test part is not looked at
    network = export_network(model, recipe.group_channels) if tested and model.why_not_integer() is None else None
    sparse = recipe.precision == "ternary" or recipe.penalty > 0
    bits = 2 if recipe.precision == "ternary" else FLOAT_BITS
    stored = 1.0 - done.zero_group_fraction
    return TrainingRecord(
        run=run_name(recipe),
        recipe=replace(recipe, data_folder="").to_toml(),
        setting=setting(recipe),
        dataset=data.name,
        seed=recipe.seed,
        validation_accuracy=done.validation_accuracy,
        top1=model_accuracy(model, data.test) if tested else None,
        integer_top1=None if network is None else network_accuracy(network, data),
        predicted_cycles=None if network is None else predicted_cycles(network),
        cut_groups=done.checkpoint.pruning.get("cut_groups"),
        teacher_digest=done.checkpoint.teacher if recipe.teacher else None,
        zero_group_fraction=done.zero_group_fraction,
        zero_fraction=zero_fraction(model, recipe.group_channels) if sparse else 0.0,
        compression=FLOAT_BITS / (stored * bits) if stored else None,
        train_images=len(data.train),
        weights_digest=weights_digest(model),
        history=history(done.folder / LOG_FILE),
        layers=layer_figures(model, recipe.group_channels, sparse),
        histograms=histograms(model),
        group_norms=drawn_norms(model, recipe.group_channels),
        trits=drawn_trits(model) if recipe.precision == "ternary" else {},
        data_digest=data.digest(),
        seconds=round(seconds, 1),
    )


def predicted_cycles(network: Network) -> float | None:
    """Cycles an image back to back that the cycle model predicts for 16 PEs; None where they cannot run the network."""
    try:
        asked = AcceleratorParameters(group_channels=network.group_channels, activation_bits=network.activation_bits)
        return predict(lower(network, fitting_parameters(network, asked))).cycles_per_image
    except ProgramError:
        return None


def weights_digest(model: Model) -> str:
    """SHA-256 of the model's state: names, and values as they lie in memory."""
    state = hashlib.sha256()
    for name, value in model.state_dict().items():
        state.update(name.encode())
        state.update(value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


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
