"""Several processes that train one network on the CPU, started by torchrun.

Each takes its part of every batch and adds its share to the gradient, so that all hold the same weights. The first one
alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from tritforge.compress.run.recipe import Recipe
from tritforge.errors import RecipeError


@dataclass(frozen=True)
class Workers:
    """This process among those that train together; by default it is alone.

    Attributes:
        rank: its place, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; parts differ in length by one at most."""
        return batch.tensor_split(self.count)[self.rank]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.count > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(total.view(tensor.shape))


def workers_around() -> Workers:
    """The processes that torchrun started, read from its environment; alone without it."""
    return Workers(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


@contextmanager
def joined(recipe: Recipe) -> Iterator[Workers]:
    """Connect with the other processes that torchrun started, if there are any.

    Raises:
        RecipeError: a recipe that several processes cannot share.
    """
    workers = workers_around()
    if workers.count == 1:
        yield workers
        return
    if recipe.device != "cpu":
        raise RecipeError(f"device is {recipe.device!r}; several processes train on the cpu alone")
    if recipe.batch_size < 2 * workers.count:
        raise RecipeError(
            f"batch_size is {recipe.batch_size}; each of {workers.count} processes needs two images of it"
        )
    distributed.init_process_group("gloo")
    try:
        yield workers
    finally:
        distributed.destroy_process_group()


def largest_of_all(value: Tensor) -> Tensor:
    """The largest of a scalar over all processes that are connected."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return value
