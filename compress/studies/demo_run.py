"""The training half of the demo: digits in full precision and ternary, and a partial update after a recorded shift."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tritforge.compress.data.dataset import Dataset, Split
from tritforge.compress.data.recorded_shift import camera_askew
from tritforge.compress.export.deployed import deployed_model, updated_checkpoint
from tritforge.compress.models.evaluation import model_accuracy
from tritforge.compress.run.checkpoint import Checkpoint, load_checkpoint
from tritforge.compress.run.recipe import load_recipe
from tritforge.compress.training.export_run import export_run
from tritforge.compress.training.train import TrainingRun, recipe_dataset, remaining_steps, train
from tritforge.compress.updates.budget import Budget
from tritforge.compress.updates.policies import policy_named
from tritforge.compress.updates.round import Update, right, steps_of_training, update_network
from tritforge.files import atomic_write
from tritforge.network.network import Network
from tritforge.patches.patch import full_update_bytes
from tritforge.samples.askew import DEGREES

TERNARY_RECIPE = "digits_ternary"
FLOAT_RECIPE = "digits_float"

Progress = Callable[[str, "float | None", str], AbstractContextManager[Callable[[int], None]]]
"""``progress(description, total, unit)`` gives a context in which ``advance(count)`` is called."""


@dataclass(frozen=True, eq=False)
class TrainedDemo:
    """A full-precision and a ternary run of one seed. Accuracies are percent of the test part, fractions 0 to 1."""

    seed: int
    network: Network
    network_path: Path
    run_folder: Path
    dataset: Dataset
    data_digest: str
    full_precision_accuracy: float
    fake_quantised_accuracy: float
    integer_accuracy: float
    equal_argmax_fraction: float
    within_one_fraction: float
    zero_group_fraction: float

    def metrics(self) -> dict[str, Any]:
        """The numbers under their result-file names."""
        names = (
            "full_precision_accuracy",
            "fake_quantised_accuracy",
            "integer_accuracy",
            "equal_argmax_fraction",
            "within_one_fraction",
            "zero_group_fraction",
        )
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class UpdateFigures:
    """What an update did. Accuracies are percent: of the shifted test part, or of the original one where it says so."""

    updating_ratio: float
    changed_trits: int
    stored_trits: int
    patch_bytes: int
    full_update_bytes: int
    accuracy_before_patch: float
    accuracy_after_patch: float
    accuracy_full_retraining: float
    original_accuracy_before_patch: float
    original_accuracy_after_patch: float
    validation_before: float
    validation_after: float

    def metrics(self) -> dict[str, Any]:
        """The numbers under their result-file names."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class UpdatedDemo:
    """An update of a deployed network: its outcome, the patch file, the shifted test images, and the figures.

    ``checkpoint`` is what the server keeps to make the next update from. There is no patch file when validation did not
    improve: such a round sends nothing.
    """

    update: Update
    patch_path: Path | None
    checkpoint: Checkpoint
    shifted_test: Split
    figures: UpdateFigures


def train_demo(seed: int, out_dir: str | Path, progress: Progress | None = None) -> TrainedDemo:
    """Train both precisions of the digits network, export the ternary one, and measure all three on the test part.

    Runs are resumable: called again with the same folder, it goes on where it stopped.

    Args:
        seed: of both runs.
        out_dir: gets ``full_precision/`` and ``ternary/``, run folders, the latter with ``network.safetensors``.
        progress: display, such as :func:`tritforge.cli.shared.options.progress`.
    """
    out_dir = Path(out_dir)
    full = _train(FLOAT_RECIPE, seed, out_dir / "full_precision", "full-precision training", progress)
    ternary = _train(TERNARY_RECIPE, seed, out_dir / "ternary", "ternary training", progress)
    exported = export_run(ternary.folder)
    return TrainedDemo(
        seed,
        exported.network,
        exported.path,
        ternary.folder,
        exported.dataset,
        exported.dataset.digest(),
        model_accuracy(full.model, full.dataset.test),
        exported.fake_quantised_accuracy,
        exported.integer_accuracy,
        exported.agreement.equal_argmax_fraction,
        exported.agreement.worst_layer,
        exported.zero_group_fraction,
    )


def update_demo(
    network: Network,
    run_folder: str | Path,
    dataset: Dataset,
    budget: Budget | None,
    patch_path: str | Path | None = None,
    policy: str = "partial",
    degrees: float = DEGREES,
    seed: int = 0,
    progress: Progress | None = None,
) -> UpdatedDemo:
    """Update a deployed network after every camera was turned, and measure it against full retraining.

    Args:
        network: the deployed network.
        run_folder: the run whose latent weights it came from.
        dataset: what it was trained on.
        budget: what the update may take.
        patch_path: where to write the patch file, if anywhere.
        policy: which positions may change, by name.
        degrees: the recorded shift.
        seed: of the order of the data, and of what the policy draws.
        progress: display, such as :func:`tritforge.cli.shared.options.progress`.
    """
    checkpoint = load_checkpoint(run_folder)
    torch.set_num_threads(checkpoint.recipe.threads)  # as in training, so that an update repeats bit for bit
    model = deployed_model(checkpoint, network)
    shifted = camera_askew(dataset, degrees)

    def updated(name: str, description: str, budget: Budget | None) -> Update:
        policy = policy_named(name)
        settings = replace(policy.settings, seed=seed)
        steps = policy.trainings * steps_of_training(len(shifted.train), settings)
        with _display(progress, description, steps) as advance:
            return update_network(policy, model, network, shifted.train, shifted.validation, budget, settings, advance)

    update = updated(policy, f"{policy} update", budget)
    retrained = updated("full", "full retraining", None)
    target = Path(patch_path) if patch_path is not None and update.patch else None
    if target is not None:
        atomic_write(target, update.patch)
    figures = UpdateFigures(
        update.updating_ratio,
        update.changed_trits,
        update.stored_trits,
        len(update.patch),
        full_update_bytes(network),
        right(network, shifted.new.test),
        right(update.network, shifted.new.test),
        right(retrained.candidate, shifted.new.test),
        right(network, dataset.test),
        right(update.network, dataset.test),
        update.validation_before,
        update.validation_after,
    )
    checkpoint = updated_checkpoint(checkpoint, update.model, update.network)
    return UpdatedDemo(update, target, checkpoint, shifted.new.test, figures)


def _train(name: str, seed: int, folder: Path, description: str, progress: Progress | None) -> TrainingRun:
    recipe = load_recipe(name, [f"seed={seed}"])
    dataset = recipe_dataset(recipe)
    with _display(progress, description, remaining_steps(recipe, folder, dataset)) as advance:
        return train(recipe, folder, dataset=dataset, advance=advance)


def _display(progress: Progress | None, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(_ignore) if progress is None else progress(description, total, "steps")


def _ignore(_count: int) -> None:
    return None
