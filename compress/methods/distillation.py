"""Knowledge distillation: a network learns from what a finished run answers, beside the labels.

Softened logits are those of Hinton et al., "Distilling the Knowledge in a Neural Network" (2014), equation 1 and the
factor T^2 of section 2; matching intermediate maps is Romero et al., "FitNets" (ICLR 2015), equation 3, without its
regressor and on maps of length one. The teacher sees the same augmented images, in evaluation mode and without a
gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.models.kinds.conv import ConvStage
from tritforge.compress.models.model import Model
from tritforge.compress.models.restored import model_of_checkpoint
from tritforge.compress.run.checkpoint import CheckpointError, load_checkpoint
from tritforge.compress.run.recipe import Recipe
from tritforge.errors import RecipeError


@dataclass(frozen=True, eq=False)
class Teacher:
    """A finished run's model in evaluation mode, and the SHA-256 of its state."""

    model: Model
    digest: str


def load_teacher(recipe: Recipe, dataset: Dataset, student: Model) -> Teacher | None:
    """The teacher that a recipe names, where the student lies; None where it names none.

    Raises:
        RecipeError: a loss that needs a teacher without one, a run that is missing, unfinished or made for other
            images or classes, or maps to be matched that differ in shape.
    """
    if not recipe.teacher:
        for name in ("distillation", "feature_matching"):
            if getattr(recipe, name) > 0:
                raise RecipeError(f"{name} is {getattr(recipe, name):g}, but the recipe names no teacher to learn from")
        return None
    try:
        checkpoint = load_checkpoint(recipe.teacher)
        model = model_of_checkpoint(checkpoint, dataset.image_shape, dataset.classes)
    except CheckpointError as error:
        raise RecipeError(f"{recipe.teacher} cannot be the teacher: {error}") from error
    ours, theirs = student.topology.stage_ends(), model.topology.stage_ends()
    if recipe.feature_matching > 0 and list(ours.values()) != list(theirs.values()):
        raise RecipeError(
            f"feature_matching compares the last maps of equal stages, and those of teacher {recipe.teacher} have "
            f"{_told(theirs)}, those of the student {_told(ours)}"
        )
    _fold_norms(model)
    return Teacher(model.requires_grad_(False).to(student.zero_point.device), state_digest(checkpoint.model))


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


def loss_with_teacher(
    recipe: Recipe, loss: Tensor, model: Model, maps: Mapping[str, Tensor], teacher: Teacher, images: Tensor
) -> Tensor:
    """The loss of the labels, mixed with what the recipe wants learnt from the teacher.

    Args:
        loss: mean loss of the labels.
        model: the student.
        maps: its maps of these images, by name, logits last.
        images: what both see, ``(B, C, H, W)``.
    """
    if recipe.distillation == 0 and recipe.feature_matching == 0:
        return loss
    with torch.no_grad(), torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=recipe.bfloat16):
        taught = teacher.model.maps(images)
    if recipe.distillation > 0:
        logits, teacher_logits = (list(every.values())[-1].float() for every in (maps, taught))
        loss = distilled(loss, logits, teacher_logits, recipe.distillation, recipe.temperature)
    if recipe.feature_matching > 0:
        ends = zip(model.topology.stage_ends(), teacher.model.topology.stage_ends(), strict=True)
        differences = [map_difference(maps[ours], taught[theirs]) for ours, theirs in ends]
        loss = loss + recipe.feature_matching * torch.stack(differences).mean()
    return loss
