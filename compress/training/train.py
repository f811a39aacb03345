"""A training, top to bottom: a recipe in, a run folder with checkpoint, log and resolved recipe out.

A run that is killed at any step and started again ends in the same weights bit for bit, on the same torch version,
thread count and machine type: the order of the data and the augmentation come from one generator whose state is part of
the checkpoint (or the augmentation from seed, epoch and image), the learning rate is a function of the step alone, and
each method keeps in the checkpoint what it goes on from.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.engine.batches import TrainingBatches, settling_change, steps_per_epoch
from tritforge.compress.engine.fit import Advance, fit
from tritforge.compress.engine.log import EpochLog
from tritforge.compress.engine.method import Method
from tritforge.compress.engine.step import Computation, Learner, Losses, compiled_maps
from tritforge.compress.methods.chosen import begun_methods, differences, may_differ, prunes
from tritforge.compress.methods.group_sparsity import layer_zero_groups, zero_group_fraction
from tritforge.compress.models.evaluation import model_accuracy, settle_statistics
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.checkpoint import Checkpoint, environment_differences, load_checkpoint, save_checkpoint
from tritforge.compress.run.lock import locked
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.run.run_folder import CHECKPOINT_FILE, RECIPE_FILE
from tritforge.compress.run.schedules import learning_rate
from tritforge.compress.run.workers import Workers, joined
from tritforge.errors import RecipeError
from tritforge.files import atomic_write


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A finished run.

    Attributes:
        folder: the run folder.
        model: the model in evaluation mode, statistics settled.
        dataset: what it was trained on.
        checkpoint: the final checkpoint.
        step_seconds: mean seconds of a step in this process; 0 when nothing was left to do.
        validation_accuracy: percent, after the last step; None where the recipe holds nothing out.
        zero_group_fraction: of the grouped layers; 0 of a full-precision model that is not pruned.
        resumed_from: step this process started at.
        summary: what the methods tell of it, by the names that result files use.
    """

    folder: Path
    model: Model
    dataset: Dataset
    checkpoint: Checkpoint
    step_seconds: float
    validation_accuracy: float | None
    zero_group_fraction: float
    resumed_from: int
    summary: Mapping[str, Any] = field(default_factory=dict)


def recipe_dataset(recipe: Recipe) -> Dataset:
    """The data set that a recipe names."""
    return load_dataset(recipe.dataset, recipe.data_folder, recipe.validation_fraction)


def remaining_steps(recipe: Recipe, folder: str | Path, dataset: Dataset) -> int:
    """Optimiser steps that :func:`train` has yet to take in ``folder``."""
    path = Path(folder) / CHECKPOINT_FILE
    done = load_checkpoint(path).step if path.exists() else 0
    return max(0, steps_per_epoch(recipe, dataset) * recipe.epochs - done)


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; only convolution and linear weights decay."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def train(
    recipe: Recipe,
    folder: str | Path,
    *,
    dataset: Dataset | None = None,
    advance: Advance | None = None,
) -> TrainingRun:
    """Train, or continue where a checkpoint in ``folder`` stands; under torchrun together with the other processes.

    Args:
        recipe: every choice of the run.
        folder: run folder; created when missing.
        dataset: data to use instead of loading the recipe's.
        advance: called with the number of steps just done.

    Raises:
        RecipeError: the folder holds a run of another recipe, or the recipe cannot be built.
        DataError: the data set cannot be read.
        CheckpointError: the checkpoint cannot be read.
        RunBusyError: another process trains in the folder.
    """
    with joined(recipe) as workers, ExitStack() as held:
        return _train(recipe, Path(folder), dataset or recipe_dataset(recipe), advance, workers, held)


def _train(
    recipe: Recipe, folder: Path, dataset: Dataset, advance: Advance | None, workers: Workers, held: ExitStack
) -> TrainingRun:
    torch.set_num_threads(recipe.threads)
    device = _device(recipe)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe, dataset.image_shape, dataset.classes, dataset.zero_point()).to(device)
    optimizer = make_optimizer(recipe, model)
    generator = torch.Generator().manual_seed(recipe.seed)
    per_epoch = steps_per_epoch(recipe, dataset)
    total = per_epoch * recipe.epochs
    methods = begun_methods(recipe, model, total)
    if workers.leads:
        held.enter_context(locked(folder))
    if (folder / CHECKPOINT_FILE).exists():
        state = _resumed(recipe, folder, model, optimizer, generator, methods)
    else:
        if workers.leads:
            atomic_write(folder / RECIPE_FILE, recipe.to_toml().encode())
        order = torch.empty(0, dtype=torch.long)
        state = Checkpoint(recipe, 0, dataset.zero_point(), {}, {}, generator.get_state(), order)
    log = EpochLog(folder, state.step, state.sums, recipe.tensorboard and workers.leads)
    batches = TrainingBatches(recipe, dataset, device, generator, state.order, workers)
    learner = Learner(
        model,
        optimizer,
        lambda step: learning_rate(recipe, step, total),
        methods,
        Computation.of(recipe),
        workers=workers,
        maps_of=compiled_maps(model, device) if recipe.compiled else None,
    )
    resumed_from, began = state.step, time.perf_counter()

    def watch(done: int, losses: Losses) -> None:
        """Write the log at the end of an epoch, and the checkpoint when it is due."""
        nonlocal state
        log.gather(losses)
        if not workers.leads:
            return
        if done % per_epoch == 0:
            epoch = {"epoch": done // per_epoch, "learning_rate": learner.rate(done - 1)}
            log.write(done, epoch | _epoch_figures(recipe, model, dataset, methods))
        if done % recipe.checkpoint_steps == 0 or done == total:
            state = replace(
                state,
                step=done,
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
                order=batches.order,
                sums=log.sums,
                methods={name: method.state() for name, method in methods.items()},
            )
            save_checkpoint(folder / CHECKPOINT_FILE, state)

    if not state.finished:
        fit(learner, batches.of_steps(resumed_from, total), resumed_from, watch, advance)
    seconds = (time.perf_counter() - began) / max(1, total - resumed_from)
    if not state.finished:
        for method in methods.values():
            method.finish()
        if recipe.norm_statistics == "batch":
            settle_statistics(model, dataset.train.images, settling_change(recipe, dataset))
        state = replace(state, model=model.state_dict(), optimizer={}, finished=True)
        if workers.leads:
            save_checkpoint(folder / CHECKPOINT_FILE, state)
    summary: dict[str, Any] = {}
    for method in methods.values():
        summary |= method.summary()
    return TrainingRun(
        folder,
        model.eval(),
        dataset,
        state,
        seconds if total > resumed_from else 0.0,
        model_accuracy(model, dataset.validation) if len(dataset.validation) else None,
        pruned_fraction(recipe, model),
        resumed_from,
        summary,
    )


def pruned_fraction(recipe: Recipe, model: Model) -> float:
    """Fraction of the grouped layers' PE groups that are zero; 0 of a full-precision model that is not pruned."""
    return zero_group_fraction(model, recipe.group_channels) if prunes(recipe) else 0.0


@torch.no_grad()
def _epoch_figures(recipe: Recipe, model: Model, dataset: Dataset, methods: Mapping[str, Method]) -> dict[str, float]:
    """What the log holds beside the losses: validation accuracy, group sparsity by layer, and the methods' figures."""
    figures = {"zero_group_fraction": pruned_fraction(recipe, model)}
    if len(dataset.validation):
        figures["validation_accuracy"] = model_accuracy(model, dataset.validation)
    if prunes(recipe):
        for name, fraction in layer_zero_groups(model, recipe.group_channels).items():
            figures[f"zero_groups.{name}"] = fraction
    for method in methods.values():
        figures |= method.figures()
    return figures


def _device(recipe: Recipe) -> torch.device:
    try:
        device = torch.device(recipe.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"device is {recipe.device!r}, which this installation of torch cannot use") from error
    return device


def _resumed(
    recipe: Recipe,
    folder: Path,
    model: Model,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    methods: Mapping[str, Method],
) -> Checkpoint:
    """Put model, optimiser, generator and methods where the folder's checkpoint stands."""
    checkpoint = load_checkpoint(folder / CHECKPOINT_FILE)
    for key, here, there in differences(recipe, checkpoint.recipe):
        if not may_differ(key):
            raise RecipeError(f"{folder} holds a run with {key} = {there!r}, not {here!r}; choose another run folder")
    for name, method in methods.items():
        method.load(checkpoint.methods.get(name, {}))
    for difference in environment_differences(checkpoint):
        warnings.warn(difference, stacklevel=3)
    model.load_state_dict(checkpoint.model)
    if not checkpoint.finished:
        optimizer.load_state_dict(checkpoint.optimizer)
    generator.set_state(checkpoint.generator)
    return replace(checkpoint, recipe=recipe)
