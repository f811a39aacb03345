"""The record of a training run, as it is made when the run has ended."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from tritforge.compress.experiments.drawn import drawn_norms, drawn_trits, histograms, history, layer_figures
from tritforge.compress.experiments.plan import run_name, setting
from tritforge.compress.export.export import export_network
from tritforge.compress.methods.chosen import prunes
from tritforge.compress.methods.group_sparsity import zero_fraction
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
from tritforge.records.setting import FLOAT_BITS
from tritforge.records.training_record import TrainingRecord


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
    sparse = prunes(recipe)
    summary = {name: value for name, value in done.summary.items() if name != "predicted_cycles"}  # of the network's
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
        cut_groups=summary.pop("cut_groups", None),
        teacher_digest=summary.pop("teacher_digest", None),
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
        summary=summary or None,
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
