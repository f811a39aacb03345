"""Small runs that several tests of this room share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.run.recipe import Recipe

SMALL = Recipe(
    widths=(16, 32),
    epochs=3,
    batch_size=64,
    optimizer="adamw",
    learning_rate=0.004,
    penalty=0.003,
    clipping=1.5,
    shift_pixels=1,
    checkpoint_steps=1,
)
"""Three epochs of six steps on :func:`small_digits`."""


def small_digits(images: int = 330) -> Dataset:
    """Digits with only the first training images."""
    data = load_dataset("digits")
    return replace(data, train=data.train.take(np.arange(images)))
