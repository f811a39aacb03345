"""The record of a training run: its figures, how they came about, and what the pictures draw, as a result file."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tritforge.compress.engine.log import LOG_FILE
from tritforge.compress.experiments.plan import FLOAT_BITS, run_name, setting
from tritforge.compress.experiments.recorded_runs import COMMAND
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.chosen import prunes
from tritforge.compress.methods.group_sparsity import group_norms, kept_weights, zero_fraction
from tritforge.compress.models.evaluation import model_accuracy
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.training.evaluate_target import network_accuracy
from tritforge.compress.training.train import TrainingRun
from tritforge.cost.cycle_model import predict
from tritforge.errors import ProgramError
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.results import Result

HISTORY_ROWS = 24
BINS = 81
DIGITS = 4
"""Significant digits of what is only drawn."""


def run_result(recipe: Recipe, done: TrainingRun, seconds: float) -> Result:
    """The record of a finished run, evaluated on the test part unless a part of the training data was held out.

    Args:
        recipe: its recipe.
        done: the run.
        seconds: what it took, all its pieces together.
    """
    return Result(
        COMMAND,
        run_metrics(recipe, done),
        {"run": run_name(recipe), "recipe": replace(recipe, data_folder="").to_toml()},
        [recipe.seed],
        done.dataset.digest(),
        round(seconds, 1),
    )


def run_metrics(recipe: Recipe, done: TrainingRun) -> dict[str, Any]:
    """The metrics of a finished run's record, by the names that docs/experiments.md lists."""
    model, data = done.model, done.dataset
    metrics = {**setting(recipe), "dataset": data.name, "seed": recipe.seed, **done.summary}
    if done.validation_accuracy is not None:
        # Such a run chooses a setting: the test part is not looked at.
        metrics["validation_accuracy"] = done.validation_accuracy
    else:
        metrics["top1"] = model_accuracy(model, data.test)
        if model.why_not_integer() is None:
            network = export_network(model, recipe.group_channels)
            metrics["integer_top1"] = network_accuracy(network, data)
            metrics["predicted_cycles"] = predicted_cycles(network)
    sparse = prunes(recipe)
    bits = 2 if recipe.precision == "ternary" else FLOAT_BITS
    stored = 1.0 - done.zero_group_fraction
    return metrics | {
        "zero_group_fraction": done.zero_group_fraction,
        "zero_fraction": zero_fraction(model, recipe.group_channels) if sparse else 0.0,
        "compression": FLOAT_BITS / (stored * bits) if stored else None,
        "train_images": len(data.train),
        "weights_digest": weights_digest(model),
        "history": history(done.folder / LOG_FILE),
        "layers": layer_figures(model, recipe) if sparse else {},
        "histograms": histograms(model),
        "group_norms": drawn_norms(model, recipe.group_channels),
        "trits": drawn_trits(model) if recipe.precision == "ternary" else {},
    }


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


def history(log: Path) -> dict[str, list[float | None]]:
    """The columns of a training's log, at most ``HISTORY_ROWS`` epochs of it, evenly spread and with the last one.

    None stands for what was not logged yet when an epoch ended, in a training that an older version began.
    """
    with open(log, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    stride = math.ceil(len(rows) / HISTORY_ROWS)
    kept = rows[::-1][::stride][::-1]
    names = [name for name in rows[-1] if name not in ("step", "epoch")]
    columns = {name: [_short(float(row[name])) if row[name] else None for row in kept] for name in names}
    return {"epoch": [int(row["epoch"]) for row in kept], **columns}


def layer_figures(model: Model, recipe: Recipe) -> dict[str, list[Any]]:
    """By figure, a value for each grouped layer in order."""
    kept = kept_weights(model, recipe.group_channels)
    weights = [layer.weight.numel() for layer in model.ternary_layers().values()]
    return {
        "name": list(kept),
        "zero_group_fraction": [_short(1.0 - float(one.any(dim=2).float().mean())) for one in kept.values()],
        "zero_fraction": [
            _short(1.0 - float(one.sum()) / count) for one, count in zip(kept.values(), weights, strict=True)
        ],
    }


@torch.no_grad()
def histograms(model: Model) -> dict[str, dict[str, Any]]:
    """Latent weights of the first block's second convolution of each stage (dissertation Figure 6).

    The bins of a layer are the same for every method: ``BINS`` of them over four standard deviations of the weights'
    initialisation to either side, the outermost with all that lies beyond.
    """
    drawn = {}
    for name, layer in model.ternary_layers().items():
        if name.endswith(".block1.conv2"):
            reach = 4 * math.sqrt(2 / (layer.weight.shape[0] * layer.weight[0, 0].numel()))
            values = layer.weight.detach().float().cpu().numpy().ravel()
            counts, _ = np.histogram(np.clip(values, -reach, reach), BINS, (-reach, reach))
            figures = {"mean": float(values.mean()), "std": float(values.std()), "reach": reach}
            drawn[name] = {key: _short(value) for key, value in figures.items()} | {"counts": counts.tolist()}
    return drawn


@torch.no_grad()
def drawn_norms(model: Model, group_channels: int) -> dict[str, list[float]]:
    """Group norms, sorted, of conv8 and conv15 of ResNet-20 (dissertation Figure 10), or of the like of other depths.

    At most 256 of a layer, evenly spread over the sorted ones.
    """
    layers = model.ternary_layers()
    last = max((name.split(".")[0] for name in layers), default="")
    drawn = {}
    for name in ("stage2.block1.conv1", f"{last}.block1.conv2"):
        if name in layers:
            norms = np.sort(group_norms(layers[name].weight, group_channels).cpu().numpy().ravel())
            chosen = norms[np.linspace(0, len(norms) - 1, min(len(norms), 256)).round().astype(int)]
            drawn[name] = [_short(float(value)) for value in chosen]
    return drawn


def drawn_trits(model: Model) -> dict[str, list[str]]:
    """Trits of the first layer of the first two stages (dissertation Figure 5): a string of ``-0+`` for each output."""
    drawn = {}
    for name, layer in model.ternary_layers().items():
        if name in ("stage1.block1.conv1", "stage2.block1.conv1") and layer.weight.numel() <= 32 * 16 * 9:
            rows = layer.trits().flatten(1).to(torch.int).tolist()
            drawn[name] = ["".join("0+-"[trit] for trit in row) for row in rows]
    return drawn


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
