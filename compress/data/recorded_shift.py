"""A recorded change of the world for a deployed network: every camera now hangs askew.

All images of a data set are turned by one fixed angle; nothing is drawn at random, so the shift is its own record.
New training, validation and test images come from the parts of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from tritforge.compress.data.augmentation import turn_images
from tritforge.compress.data.dataset import Dataset, Split, join


@dataclass(frozen=True, eq=False)
class ShiftedData:
    """What a server holds after the shift.

    Attributes:
        new: the turned images.
        train: old and new training images together, as the server stores all that it collects.
        validation: old and new validation images together, the fixed pool that decides whether a round is sent.
    """

    new: Dataset
    train: Split
    validation: Split


def turned(split: Split, degrees: float) -> Split:
    """The split's images turned counter-clockwise by ``degrees``."""
    if not len(split):
        return split
    images = torch.tensor(split.images)
    angles = torch.full((len(split),), float(degrees))
    return Split(turn_images(images, angles, torch.ones(len(split))).numpy().astype(np.uint8), split.labels)


def camera_askew(dataset: Dataset, degrees: float) -> ShiftedData:
    """The data set after every camera was turned by ``degrees``."""
    train, validation, test = (turned(part, degrees) for part in (dataset.train, dataset.validation, dataset.test))
    name = f"{dataset.name} turned by {degrees:g} degrees"
    new = replace(dataset, name=name, train=train, validation=validation, test=test)
    return ShiftedData(new, join(dataset.train, new.train), join(dataset.validation, new.validation))
