"""Knowledge distillation: a network learns from what a finished run answers, beside the labels.

Softened logits are those of Hinton et al., "Distilling the Knowledge in a Neural Network" (2014), equation 1 and the
factor T^2 of section 2; matching intermediate maps is Romero et al., "FitNets" (ICLR 2015), equation 3, without its
regressor and on maps of length one. The teacher sees the same augmented images, in evaluation mode and without a
gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tritforge.compress.engine.method import Method, Run, Step, logits_of
from tritforge.compress.methods.settings import Settings
from tritforge.compress.models.kinds.classifier import ClassifierNode
from tritforge.compress.models.kinds.conv import ConvStage
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import CheckpointError, load_checkpoint
from tritforge.compress.run.keys import key
from tritforge.errors import RecipeError


@dataclass(frozen=True)
class DistillationSettings(Settings):
    """Who a recipe has the network learn from, and how much.

    Attributes:
        teacher: run folder of a finished run; empty for none.
        weight: part of the loss that comes from the teacher's softened logits.
        temperature: ``T``, what logits are divided by.
        feature_matching: weight of the difference between the last maps of each stage and the teacher's.
    """

    table = "distillation"
    places = ("teacher",)

    teacher: str = ""
    weight: float = key(0.0, at_least=0, at_most=1)
    temperature: float = key(4.0, above=0)
    feature_matching: float = key(0.0, at_least=0)

    def method(self) -> Distillation | None:
        if self.teacher:
            return Distillation(self)
        for name in ("weight", "feature_matching"):
            if getattr(self, name) > 0:
                value = f"distillation.{name} is {getattr(self, name):g}"
                raise RecipeError(f"{value}, but the recipe names no teacher to learn from (distillation.teacher)")
        return None

    def name_parts(self) -> list[str]:
        parts = []
        if self.weight > 0:
            softened = f"_t{self.temperature:g}" if self.temperature != DistillationSettings.temperature else ""
            parts.append(f"kd{self.weight:g}{softened}")
        if self.feature_matching > 0:
            parts.append(f"fm{self.feature_matching:g}")
        return parts

    def setting(self) -> dict[str, Any]:
        if not self.teacher:
            return {}
        return {
            "teacher": self.teacher,
            "distillation": self.weight,
            "temperature": self.temperature,
            "feature_matching": self.feature_matching,
        }

    def without_places(self) -> DistillationSettings:
        return replace(self, teacher=Path(self.teacher).name)


class Distillation(Method):
    """What the teacher answers, mixed into the loss of the labels.

    Attributes:
        teacher: a finished run's model in evaluation mode, where the student lies.
        digest: SHA-256 of that run's state; a run goes on with this teacher only, wherever it lies.
    """

    teacher: Model
    digest: str

    def __init__(self, settings: DistillationSettings) -> None:
        self.settings = settings

    def begin(self, run: Run) -> None:
        """Load the teacher.

        Raises:
            RecipeError: a run that is missing, unfinished or made for other images or classes, or maps to be matched
                that differ in shape.
        """
        topology, place = run.model.topology, self.settings.teacher
        classifier = topology.nodes[-1]
        assert isinstance(classifier, ClassifierNode)
        try:
            checkpoint = load_checkpoint(place)
            teacher = model_of_checkpoint(checkpoint, topology.image, classifier.outputs)
        except CheckpointError as error:
            raise RecipeError(f"{place} cannot be the teacher: {error}") from error
        ours, theirs = topology.stage_ends(), teacher.topology.stage_ends()
        if self.settings.feature_matching > 0 and list(ours.values()) != list(theirs.values()):
            raise RecipeError(
                f"feature_matching compares the last maps of equal stages, and those of teacher {place} have "
                f"{_told(theirs)}, those of the student {_told(ours)}"
            )
        self._ends = list(zip(ours, theirs, strict=False))
        _fold_norms(teacher)
        self.teacher = teacher.requires_grad_(False).to(run.model.zero_point.device)
        self.digest = state_digest(checkpoint.model)

    def load(self, state: Mapping[str, Any]) -> None:
        if state.get("teacher", "") != self.digest:
            raise RecipeError(
                f"the run was begun with another teacher than {self.settings.teacher}; choose another run folder"
            )

    def loss(self, step: Step, loss: Tensor) -> Tensor:
        how = self.settings
        if how.weight == 0 and how.feature_matching == 0:
            return loss
        taught = step.maps_of(self.teacher)
        if how.weight > 0:
            loss = distilled(loss, step.logits, logits_of(taught), how.weight, how.temperature)
        if how.feature_matching > 0:
            differences = [map_difference(step.maps[ours], taught[theirs]) for ours, theirs in self._ends]
            loss = loss + how.feature_matching * torch.stack(differences).mean()
        return loss

    def state(self) -> dict[str, Any]:
        return {"teacher": self.digest}

    def summary(self) -> dict[str, Any]:
        return {"teacher_digest": self.digest}


def _fold_norms(model: Model) -> None:
    """Put the batch norms of full-precision convolutions into their weights: a map less to write in every stage."""
    for stage in model.stages.values():
        if isinstance(stage, ConvStage) and type(stage.conv) is nn.Conv2d:
            stage.conv, stage.norm = fuse_conv_bn_eval(stage.conv, stage.norm), nn.Identity()


def _told(ends: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{channels} channels at 1/{reduction}" for channels, reduction in ends.values())


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a model's state: names, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode() + values.tobytes())
    return digest.hexdigest()


def distilled(loss: Tensor, logits: Tensor, teacher_logits: Tensor, weight: float, temperature: float) -> Tensor:
    """``(1 - weight) * loss + weight * T^2 * KL(teacher || student)`` of the logits ``(B, classes)`` over ``T``.

    The divergence is the mean over the batch; with the factor T^2 its gradient keeps its size when T changes.
    """
    ours = functional.log_softmax(logits / temperature, dim=1)
    theirs = functional.log_softmax(teacher_logits / temperature, dim=1)
    divergence = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return (1 - weight) * loss + weight * temperature**2 * divergence


def map_difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared difference of maps ``(B, C, H, W)``, each image's scaled to length 1, as a mean over the batch: 0 to 2.

    Maps are not negative. The scale of a map means nothing, as the next batch norm takes it out.
    """
    normal = [functional.normalize(maps.float().flatten(1), dim=1) for maps in (ours, theirs)]
    return (normal[0] - normal[1]).square().sum(dim=1).mean()
