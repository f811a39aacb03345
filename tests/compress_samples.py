"""Small runs that several tests of this room share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tritforge.compress.data.dataset import Dataset
from tritforge.compress.data.sources import load_dataset
from tritforge.compress.run.recipe import Recipe, replace_values

SMALL = Recipe(
    widths=(16, 32),
    epochs=3,
    batch_size=64,
    optimizer="adamw",
    learning_rate=0.004,
    shift_pixels=1,
    checkpoint_steps=1,
    methods={"weight_penalty_clipping": {"penalty": 0.003, "clipping": 1.5}},
)
"""Three epochs of six steps on :func:`small_digits`."""

NO_PENALTY = {"weight_penalty_clipping.penalty": 0.0}


def changed(recipe: Recipe, values: Mapping[str, Any], **more: Any) -> Recipe:
    """The recipe with other values; keys of methods as ``method.key``."""
    return replace_values(recipe, {**values, **more}, "the test")


def small_digits(images: int = 330) -> Dataset:
    """Digits with only the first training images."""
    data = load_dataset("digits")
    return replace(data, train=data.train.take(np.arange(images)))
