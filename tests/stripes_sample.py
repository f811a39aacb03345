"""A data set of one file: grey stripes, drawn by rule, whose direction is the class."""

from __future__ import annotations

import numpy as np

from tritforge.compress.data.dataset import Dataset, Split, assemble

NAMES = ("across", "down", "slanted")


def load_stripes(validation_fraction: float) -> Dataset:
    """96 images to train with and 24 to test, ``(1, 8, 8)``."""
    return assemble("stripes", len(NAMES), _stripes(96, 0), _stripes(24, 1), validation_fraction, NAMES)


def _stripes(count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % len(NAMES)
    rows, columns = np.mgrid[:8, :8]
    places = np.stack([rows, columns, rows + columns])[labels] + draw.integers(0, 4, (count, 1, 1))
    pixels = np.where(places % 4 < 2, 200, 40) + draw.integers(-30, 31, (count, 8, 8))
    return Split(pixels[:, None].astype(np.uint8), labels.astype(np.int64))
