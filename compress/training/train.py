"""The training loop, top to bottom: a recipe in, a run folder with checkpoint, log and resolved recipe out.

A run that is killed at any step and started again ends in the same weights bit for bit, on the same torch version,
thread count and machine type: the order of the data and the augmentation come from one generator whose state is part of
the checkpoint (or the augmentation from seed, epoch and image), and the learning rate is a function of the step alone.
"""

from __future__ import annotations

import csv
import io
import math
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.data.augmentation import Augmentation, Draws, draws_of_epoch
from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.methods.distillation import Teacher, load_teacher, loss_with_teacher
from tritforge.compress.methods.group_sparsity import layer_zero_groups, prune_groups, zero_group_fraction
from tritforge.compress.methods.target_pruning import TargetPruning, target_pruning
from tritforge.compress.methods.weight_penalty_clipping import clipping_threshold, group_norms, weight_penalty
from tritforge.compress.models.evaluation import Change, ImagesOnDevice, model_accuracy, settle_statistics
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import build_model
from tritforge.compress.run.checkpoint import Checkpoint, environment_differences, load_checkpoint, save_checkpoint
from tritforge.compress.run.lock import locked
from tritforge.compress.run.recipe import FIELDS, NOT_DECISIVE, Recipe
from tritforge.compress.run.run_folder import CHECKPOINT_FILE, LOG_FILE, RECIPE_FILE
from tritforge.compress.run.schedules import learning_rate
from tritforge.compress.run.workers import Workers, joined, workers_around
from tritforge.errors import RecipeError
from tritforge.files import atomic_write

_FREE = (*NOT_DECISIVE, "teacher")
"""Keys that may change while a run is stopped; a teacher is known by its weights, not by where it lies."""

ALONE = Workers()

Advance = Callable[[int], None]


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
        cycles: predicted cycles of an image on the accelerator; None without a ``latency_target``.
    """

    folder: Path
    model: Model
    dataset: Dataset
    checkpoint: Checkpoint
    step_seconds: float
    validation_accuracy: float | None
    zero_group_fraction: float
    resumed_from: int
    cycles: float | None = None


def recipe_dataset(recipe: Recipe) -> Dataset:
    """The data set that a recipe names."""
    return load_dataset(recipe.dataset, recipe.data_folder, recipe.validation_fraction)


def remaining_steps(recipe: Recipe, folder: str | Path, dataset: Dataset) -> int:
    """Optimiser steps that :func:`train` has yet to take in ``folder``."""
    path = Path(folder) / CHECKPOINT_FILE
    done = load_checkpoint(path).step if path.exists() else 0
    return max(0, steps_per_epoch(recipe, dataset) * recipe.epochs - done)


def steps_per_epoch(recipe: Recipe, dataset: Dataset) -> int:
    """Optimiser steps of an epoch; a last batch of a single image a process is left out, batch norm cannot take it."""
    full, rest = divmod(len(dataset.train), recipe.batch_size)
    return full + (rest >= 2 * workers_around().count)


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
    teacher = load_teacher(recipe, dataset, model)
    optimizer = make_optimizer(recipe, model)
    generator = torch.Generator().manual_seed(recipe.seed)
    per_epoch = steps_per_epoch(recipe, dataset)
    total = per_epoch * recipe.epochs
    pruning = target_pruning(recipe, model, total)
    if workers.leads:
        held.enter_context(locked(folder))
    state = _resume(recipe, folder, model, optimizer, generator, teacher)
    if state is None:
        if workers.leads:
            atomic_write(folder / RECIPE_FILE, recipe.to_toml().encode())
        state = Checkpoint(
            recipe,
            0,
            dataset.zero_point(),
            {},
            {},
            generator.get_state(),
            torch.empty(0, dtype=torch.long),
            teacher="" if teacher is None else teacher.digest,
        )
    elif pruning is not None:
        pruning.load(state.pruning)
    log = _Log(folder, state.step, state.sums, recipe.tensorboard and workers.leads)
    batches = _Batches(recipe, dataset, device, generator, state.order, workers)
    maps = compiled_maps(model, device) if recipe.compiled else model.maps
    resumed_from, began = state.step, time.perf_counter()

    for step in range(resumed_from, total if not state.finished else 0):
        epoch, position = divmod(step, per_epoch)
        images, labels, share = batches.take(epoch, position)
        rate = learning_rate(recipe, step, total)
        loss, penalty = training_step(
            recipe, model, optimizer, rate, images, labels, teacher, pruning, workers, share, maps
        )
        if pruning is not None:
            pruning.after_step(step + 1)
        log.gather(loss, penalty)
        if position == per_epoch - 1 and workers.leads:
            figures = _epoch_figures(recipe, model, dataset)
            if pruning is not None:
                figures["lambda"] = pruning.penalty
                if recipe.latency_target > 0:
                    figures["cycles"] = pruning.look()
            log.write(step + 1, {"epoch": epoch + 1, "learning_rate": rate, **figures})
        if workers.leads and ((step + 1) % recipe.checkpoint_steps == 0 or step + 1 == total):
            state = replace(
                state,
                step=step + 1,
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
                order=batches.order,
                sums=log.sums,
                pruning={} if pruning is None else pruning.state(),
            )
            save_checkpoint(folder / CHECKPOINT_FILE, state)
        if advance is not None:
            advance(1)

    seconds = (time.perf_counter() - began) / max(1, total - resumed_from)
    if not state.finished:
        if recipe.precision == "float" and recipe.penalty > 0:
            prune_groups(model, recipe.group_channels)
        if recipe.norm_statistics == "batch":
            settle_statistics(model, dataset.train.images, _settling_change(recipe, dataset))
        state = replace(state, model=model.state_dict(), optimizer={}, finished=True)
        if workers.leads:
            save_checkpoint(folder / CHECKPOINT_FILE, state)
    return TrainingRun(
        folder,
        model.eval(),
        dataset,
        state,
        seconds if total > resumed_from else 0.0,
        model_accuracy(model, dataset.validation) if len(dataset.validation) else None,
        pruned_fraction(recipe, model),
        resumed_from,
        pruning.look() if pruning is not None and recipe.latency_target > 0 else None,
    )


def pruned_fraction(recipe: Recipe, model: Model) -> float:
    """Fraction of the grouped layers' PE groups that are zero; 0 of a full-precision model that is not pruned."""
    if recipe.precision == "float" and recipe.penalty == 0:
        return 0.0
    return zero_group_fraction(model, recipe.group_channels)


def compiled_maps(model: Model, device: torch.device) -> Callable[[Tensor], dict[str, Tensor]]:
    """``model.maps`` by ``torch.compile``: kernels that join operations and, on a GPU, a CUDA graph of them."""
    return torch.compile(model.maps, mode="reduce-overhead" if device.type == "cuda" else None)


def training_step(
    recipe: Recipe,
    model: Model,
    optimizer: torch.optim.Optimizer,
    rate: float,
    images: Tensor,
    labels: Tensor,
    teacher: Teacher | None = None,
    pruning: TargetPruning | None = None,
    workers: Workers = ALONE,
    share: float = 1.0,
    maps_of: Callable[[Tensor], dict[str, Tensor]] | None = None,
) -> tuple[Tensor, Tensor]:
    """One optimiser step; returns the loss of labels and teacher, and the penalty, detached.

    With several processes, ``images`` and ``labels`` are this one's part of the batch, ``share`` of the whole.
    ``maps_of`` stands for ``model.maps``, as :func:`compiled_maps` gives it.
    """
    model.train()
    if recipe.norm_statistics == "frozen":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    for group in optimizer.param_groups:
        group["lr"] = rate
    if recipe.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=recipe.bfloat16):
        maps = (maps_of or model.maps)(images)
    logits = list(maps.values())[-1].float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    if teacher is not None:
        loss = loss_with_teacher(recipe, loss, model, maps, teacher, images)
    penalty = torch.zeros((), device=images.device)
    if recipe.penalty > 0:
        layers = model.ternary_layers()
        factors = None if pruning is None else [pruning.factors[name] for name in layers]
        weights = [layer.weight for layer in layers.values()]
        strength = recipe.penalty if pruning is None else pruning.strength
        penalty = strength * weight_penalty(weights, recipe.clipping, recipe.group_channels, factors)
    optimizer.zero_grad(set_to_none=True)
    (share * loss + penalty / workers.count).backward()
    told = share * loss.detach()
    workers.add_up([told, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    optimizer.step()
    return told, penalty.detach()


@torch.no_grad()
def _epoch_figures(recipe: Recipe, model: Model, dataset: Dataset) -> dict[str, float]:
    """What the log holds beside the losses: validation accuracy, group sparsity and clipping thresholds, by layer."""
    figures = {"zero_group_fraction": pruned_fraction(recipe, model)}
    if len(dataset.validation):
        figures["validation_accuracy"] = model_accuracy(model, dataset.validation)
    if recipe.precision == "ternary" or recipe.penalty > 0:
        for name, fraction in layer_zero_groups(model, recipe.group_channels).items():
            figures[f"zero_groups.{name}"] = fraction
    if recipe.penalty > 0 and math.isfinite(recipe.clipping):
        for name, layer in model.ternary_layers().items():
            norms = group_norms(layer.weight, recipe.group_channels)
            figures[f"delta.{name}"] = float(clipping_threshold(norms, recipe.clipping))
    return figures


def _device(recipe: Recipe) -> torch.device:
    try:
        device = torch.device(recipe.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"device is {recipe.device!r}, which this installation of torch cannot use") from error
    return device


def _resume(
    recipe: Recipe,
    folder: Path,
    model: Model,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    teacher: Teacher | None,
) -> Checkpoint | None:
    """Put model, optimiser and generator where the folder's checkpoint stands; None when there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    for name in FIELDS:
        here, there = getattr(recipe, name), getattr(checkpoint.recipe, name)
        if here != there and name not in _FREE:
            raise RecipeError(f"{folder} holds a run with {name} = {there!r}, not {here!r}; choose another run folder")
    if checkpoint.teacher != ("" if teacher is None else teacher.digest):
        named = recipe.teacher or "none"
        raise RecipeError(f"{folder} holds a run with another teacher than {named}; choose another run folder")
    for difference in environment_differences(checkpoint):
        warnings.warn(difference, stacklevel=3)
    model.load_state_dict(checkpoint.model)
    if not checkpoint.finished:
        optimizer.load_state_dict(checkpoint.optimizer)
    generator.set_state(checkpoint.generator)
    return replace(checkpoint, recipe=recipe)


def augmentation(recipe: Recipe, dataset: Dataset) -> Augmentation:
    """How the recipe changes training images."""
    fill = dataset.zero_point() if recipe.fill == "mean" else ()
    return Augmentation(recipe.shift_pixels, recipe.rotation_degrees, recipe.zoom, recipe.flip, fill)


def _settling_change(recipe: Recipe, dataset: Dataset) -> Change | None:
    """What batch norms are settled on where that is not the plain images: one more epoch's changes."""
    if recipe.settled_on == "plain":
        return None
    augment = augmentation(recipe, dataset)
    draws = draws_of_epoch(augment, len(dataset.train), recipe.seed, recipe.epochs)

    def change(images: Tensor, start: int) -> Tensor:
        return augment.change(images, {name: drawn[..., start : start + len(images)] for name, drawn in draws.items()})

    return change


class _Batches:
    """Batches of changed training images, this process's part of each.

    Attributes:
        order: permutation of the training images of the running epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        device: torch.device,
        generator: torch.Generator,
        order: Tensor,
        workers: Workers,
    ) -> None:
        self.order = order
        self._recipe, self._generator, self._workers, self._device = recipe, generator, workers, device
        self._images = ImagesOnDevice(dataset.train.images, device)
        self._labels = torch.from_numpy(dataset.train.labels).to(device)
        self._augment = augmentation(recipe, dataset)
        self._keyed: tuple[int, Draws] = -1, {}

    def take(self, epoch: int, position: int) -> tuple[Tensor, Tensor, float]:
        """Images and labels of a batch, and which part of the whole batch they are; batches are taken in order."""
        size = self._recipe.batch_size
        if position == 0:
            self.order = torch.randperm(len(self._labels), generator=self._generator)
        chosen = self.order[position * size : (position + 1) * size]
        draws = self._draws(epoch, chosen)
        own = self._workers.part(torch.arange(len(chosen)))
        places = chosen[own].to(self._device)
        images = self._augment.change(self._images[places], {name: drawn[..., own] for name, drawn in draws.items()})
        return images, self._labels[places], len(own) / len(chosen)

    def _draws(self, epoch: int, chosen: Tensor) -> Draws:
        if self._recipe.augmentation_keys == "stream":
            return self._augment.draw(len(chosen), self._generator)
        if self._keyed[0] != epoch:
            self._keyed = epoch, draws_of_epoch(self._augment, len(self._labels), self._recipe.seed, epoch)
        return {name: drawn[..., chosen] for name, drawn in self._keyed[1].items()}


class _Log:
    """``log.csv`` with a row an epoch; rows after the step that a run resumes from are dropped."""

    def __init__(self, folder: Path, step: int, sums: tuple[float, float, int], tensorboard: bool) -> None:
        self.path = folder / LOG_FILE
        self.rows: list[dict[str, Any]] = []
        if step and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as stream:
                self.rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
        self.sums = sums
        self.board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def gather(self, loss: Tensor, penalty: Tensor) -> None:
        self.sums = (self.sums[0] + float(loss), self.sums[1] + float(penalty), self.sums[2] + 1)

    def write(self, step: int, figures: dict[str, float]) -> None:
        loss, penalty, count = self.sums
        means = {"loss": loss / count, "penalty": penalty / count}
        self.sums = (0.0, 0.0, 0)
        self.rows.append({"step": step, **means, **figures})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        atomic_write(self.path, text.getvalue().encode())
        if self.board is not None:
            for name, value in (means | figures).items():
                self.board.add_scalar(name, value, step)
            self.board.flush()
