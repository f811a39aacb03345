"""One optimiser step: a model learns from a batch under its methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritforge.compress.engine.method import Gradients, Method, Step, weight_names
from tritforge.compress.models.model import Model
from tritforge.compress.run.recipe import Recipe
from tritforge.compress.run.workers import Workers

ALONE = Workers()

Masks = Mapping[str, Tensor]
"""By grouped layer, which of its weights may move, ``(N, C, K, K)`` bool."""

Maps = Callable[[Tensor], dict[str, Tensor]]
"""From images to a model's maps by name, logits last."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Images ``(B, C, H, W)`` and labels ``(B,)``; ``share`` of the whole batch where several processes take parts."""

    images: Tensor
    labels: Tensor
    share: float = 1.0


@dataclass(frozen=True)
class Computation:
    """How a step is computed, whatever is learnt in it.

    Attributes:
        norms: ``batch`` normalises with the batch's statistics and follows them; ``frozen`` with the running ones, in
            a model that trains; ``evaluation`` leaves the whole model in evaluation mode.
        label_smoothing: of the cross entropy.
        bfloat16: autocast the model's maps.
        channels_last: memory layout of the images.
    """

    norms: str = "batch"
    label_smoothing: float = 0.0
    bfloat16: bool = False
    channels_last: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Computation:
        """The recipe's."""
        return cls(recipe.norm_statistics, recipe.label_smoothing, recipe.bfloat16, recipe.channels_last)

    def prepare(self, model: nn.Module) -> None:
        """Put the model into the mode of a step."""
        model.train(self.norms != "evaluation")
        if self.norms == "frozen":
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()


@dataclass(frozen=True, eq=False)
class Losses:
    """Of a step: the loss of labels and methods, this process's share, and the penalty; scalars without a gradient."""

    loss: Tensor
    penalty: Tensor


@dataclass(eq=False)
class Learner:
    """What learns, and how.

    Attributes:
        model: with a gradient where something may move.
        optimiser: of those parameters.
        rate: learning rate of a step.
        methods: that have begun, by name.
        computation: of a step.
        free: of the layers named, the weights that may move; all others of them stay as they are now, bit for bit, with
            a gradient of 0, whatever the optimiser does. Layers not named are free.
        workers: the processes that share each batch.
        maps_of: stands for ``model.maps``, as ``torch.compile`` gives it.
    """

    model: Model
    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]
    methods: Mapping[str, Method] = field(default_factory=dict)
    computation: Computation = Computation()
    free: Masks = field(default_factory=dict)
    workers: Workers = ALONE
    maps_of: Maps | None = None

    def __post_init__(self) -> None:
        names = weight_names(self.model)
        self._held = {
            names[layer]: (free, self.model.get_parameter(names[layer]).detach().clone())
            for layer, free in self.free.items()
        }

    def take_step(self, number: int, batch: Batch) -> Losses:
        """Learn from a batch, as step ``number`` from 0."""
        self.computation.prepare(self.model)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(number)
        step = self._seen(number, batch)
        loss = functional.cross_entropy(step.logits, step.labels, label_smoothing=self.computation.label_smoothing)
        for method in self.methods.values():
            loss = method.loss(step, loss)
        penalty = torch.zeros((), device=step.images.device)
        for method in self.methods.values():
            penalty = penalty + method.penalty(step)
        self.optimiser.zero_grad(set_to_none=True)
        (batch.share * loss + penalty / self.workers.count).backward()
        told = batch.share * loss.detach()
        self._put_gradients(told)
        self.optimiser.step()
        self._put_back()
        for method in self.methods.values():
            method.after_step(number + 1)
        return Losses(told, penalty.detach())

    def _seen(self, number: int, batch: Batch) -> Step:
        images, how = batch.images, self.computation
        if how.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=how.bfloat16):
            maps = (self.maps_of or self.model.maps)(images)
        return Step(number, images, batch.labels, maps, how.bfloat16)

    def _put_gradients(self, told: Tensor) -> None:
        """Add gradients up over all processes, and the loss that is told; then those of the methods."""
        moving = {name: one for name, one in self.model.named_parameters() if one.grad is not None}
        gradients: Gradients = {name: one.grad for name, one in moving.items() if one.grad is not None}
        self.workers.add_up([told, *gradients.values()])
        for name in self._held.keys() & gradients.keys():
            gradients[name] = gradients[name] * self._held[name][0]
        for method in self.methods.values():
            gradients = method.edit(gradients)
        for name, parameter in moving.items():
            parameter.grad = gradients[name]

    @torch.no_grad()
    def _put_back(self) -> None:
        for name, (free, before) in self._held.items():
            weight = self.model.get_parameter(name)
            weight.copy_(torch.where(free, weight, before))


def compiled_maps(model: Model, device: torch.device) -> Maps:
    """``model.maps`` by ``torch.compile``: kernels that join operations and, on a GPU, a CUDA graph of them."""
    return torch.compile(model.maps, mode="reduce-overhead" if device.type == "cuda" else None)
