"""What acts on a training: the hooks of a method, and what each of them is told.

The loop, :func:`tritforge.compress.engine.fit.fit`, calls the hooks in this order::

    begin(run)                      once, before the first step; load(state) follows where a run goes on
      |
      |    +-> maps of the batch, cross entropy of the labels
      |    |   loss = loss(step, loss)            one method after the other
      |    |   penalty(step)                      all are added up, and to the loss
      |    |   gradients of the sum, added up over all processes, 0 where weights are held
      |    |   gradients = edit(gradients)        one method after the other
      |    |   the optimiser moves the weights; those held are put back
      |    +-- after_step(done)
      |             |
      |             +--> figures()                at the end of an epoch, for the log
      |             +--> state()                  at a checkpoint
      |
    finish()                        once, after the last step, before batch norms are settled
    summary()                       of the finished run

What a method computes it returns; the loop alone adds it up. The model's weights are changed in ``after_step`` and
``finish`` only. A method draws from generators of its own, whose state is part of :meth:`Method.state`: then a run that
was killed ends in the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from tritforge.compress.models.model import Model

Gradients = dict[str, Tensor]
"""By the name of a parameter, as :meth:`torch.nn.Module.named_parameters` gives it."""

Kind = TypeVar("Kind")


@dataclass(frozen=True, eq=False)
class Run:
    """The training that a method takes part in.

    Attributes:
        model: what is trained, as initialised, on its device.
        steps: of the whole training.
        group_channels: ``C_g``.
        methods: all that take part, by name.
    """

    model: Model
    steps: int
    group_channels: int
    methods: Mapping[str, Method] = field(default_factory=dict)

    def other(self, kind: type[Kind]) -> Kind | None:
        """The method of a kind that takes part too; None where there is none."""
        return next((method for method in self.methods.values() if isinstance(method, kind)), None)


@dataclass(frozen=True, eq=False)
class Step:
    """An optimiser step while its loss is worked out.

    Attributes:
        number: of the step, from 0.
        images: ``(B, C, H, W)`` pixels that the model sees, this process's part of the batch.
        labels: ``(B,)``.
        maps: the model's maps of them by name, logits last.
        bfloat16: whether the model computes in bfloat16.
    """

    number: int
    images: Tensor
    labels: Tensor
    maps: Mapping[str, Tensor]
    bfloat16: bool = False

    @property
    def logits(self) -> Tensor:
        """``(B, classes)`` in fp32."""
        return logits_of(self.maps)

    @torch.no_grad()
    def maps_of(self, model: Model) -> dict[str, Tensor]:
        """Another model's maps of the same images, in the same precision and without a gradient."""
        with torch.autocast(self.images.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            return model.maps(self.images)


class Method:
    """A method that does nothing; another one overrides what it needs. The order of the hooks stands above."""

    def begin(self, run: Run) -> None:
        """Get ready.

        Raises:
            RecipeError: the method cannot act on this model.
        """

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`; it is empty where the checkpoint knows nothing of the method.

        Raises:
            RecipeError: the state is not one of this method's settings.
        """

    def loss(self, step: Step, loss: Tensor) -> Tensor:
        """The loss to take instead of ``loss``, a scalar: the mean over this process's part of the batch."""
        return loss

    def penalty(self, step: Step) -> Tensor | float:
        """What is added to the loss of the whole batch, a scalar that depends on weights alone."""
        return 0.0

    def edit(self, gradients: Gradients) -> Gradients:
        """The gradients to step along instead of these, those of loss and penalty over the whole batch.

        A weight that is held has a gradient of 0. A method that follows how far a step moves the weights keeps them
        here and looks again in :meth:`after_step`.
        """
        return gradients

    def after_step(self, done: int) -> None:
        """``done`` steps are done; weights may be changed."""

    def finish(self) -> None:
        """All steps are done; weights may be changed a last time."""

    def figures(self) -> dict[str, float]:
        """Columns of the log, at the end of an epoch."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, texts and tensors, in dictionaries and lists."""
        return {}

    def summary(self) -> dict[str, Any]:
        """What is told of the finished run, by the names that result files use."""
        return {}


def logits_of(maps: Mapping[str, Tensor]) -> Tensor:
    """The logits among a model's maps, ``(B, classes)`` in fp32."""
    return list(maps.values())[-1].float()


def weight_names(model: Model) -> dict[str, str]:
    """By grouped layer, its weight's name among the parameters."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {layer: names[module.weight] for layer, module in model.ternary_layers().items()}
