"""Batches of changed training images, in an order that a killed run finds again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tritforge.compress.data.augmentation import Augmentation, Draws, draws_of_epoch
from tritforge.compress.data.dataset import Dataset
from tritforge.compress.engine.step import Batch
from tritforge.compress.models.evaluation import Change, ImagesOnDevice
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.run.workers import Workers, workers_around


def steps_per_epoch(recipe: Recipe, dataset: Dataset) -> int:
    """Optimiser steps of an epoch; a last batch of a single image a process is left out, batch norm cannot take it."""
    full, rest = divmod(len(dataset.train), recipe.batch_size)
    return full + (rest >= 2 * workers_around().count)


def augmentation(recipe: Recipe, dataset: Dataset) -> Augmentation:
    """How the recipe changes training images."""
    fill = dataset.zero_point() if recipe.fill == "mean" else ()
    return Augmentation(recipe.shift_pixels, recipe.rotation_degrees, recipe.zoom, recipe.flip, fill)


def settling_change(recipe: Recipe, dataset: Dataset) -> Change | None:
    """What batch norms are settled on where that is not the plain images: one more epoch's changes."""
    if recipe.settled_on == "plain":
        return None
    augment = augmentation(recipe, dataset)
    draws = draws_of_epoch(augment, len(dataset.train), recipe.seed, recipe.epochs)

    def change(images: Tensor, start: int) -> Tensor:
        return augment.change(images, {name: drawn[..., start : start + len(images)] for name, drawn in draws.items()})

    return change


class TrainingBatches:
    """This process's part of each batch of a training.

    Attributes:
        order: permutation of the training images of the running epoch; part of a checkpoint.

    Args:
        recipe: batch size, augmentation and seed.
        dataset: its training part is taken.
        device: where images and labels are wanted.
        generator: draws the order and, in a stream, the augmentation; its state is part of a checkpoint.
        order: of the epoch that a run goes on in.
        workers: the processes that share each batch.
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
        self._per_epoch = steps_per_epoch(recipe, dataset)
        self._images = ImagesOnDevice(dataset.train.images, device)
        self._labels = torch.from_numpy(dataset.train.labels).to(device)
        self._augment = augmentation(recipe, dataset)
        self._keyed: tuple[int, Draws] = -1, {}

    def of_steps(self, first: int, end: int) -> Iterator[Batch]:
        """The batches of steps ``first`` to before ``end`` of the training; each is drawn when it is asked for."""
        for step in range(first, end):
            yield self._take(*divmod(step, self._per_epoch))

    def _take(self, epoch: int, position: int) -> Batch:
        size = self._recipe.batch_size
        if position == 0:
            self.order = torch.randperm(len(self._labels), generator=self._generator)
        chosen = self.order[position * size : (position + 1) * size]
        draws = self._draws(epoch, chosen)
        own = self._workers.part(torch.arange(len(chosen)))
        places = chosen[own].to(self._device)
        images = self._augment.change(self._images[places], {name: drawn[..., own] for name, drawn in draws.items()})
        return Batch(images, self._labels[places], len(own) / len(chosen))

    def _draws(self, epoch: int, chosen: Tensor) -> Draws:
        if self._recipe.augmentation_keys == "stream":
            return self._augment.draw(len(chosen), self._generator)
        if self._keyed[0] != epoch:
            self._keyed = epoch, draws_of_epoch(self._augment, len(self._labels), self._recipe.seed, epoch)
        return {name: drawn[..., chosen] for name, drawn in self._keyed[1].items()}
