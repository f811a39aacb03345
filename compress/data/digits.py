"""The 1,797 handwritten 8x8 digits that scikit-learn carries: the data set that needs no download."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits as load_embedded_digits
from sklearn.model_selection import train_test_split

from tritforge.compress.data.dataset import Dataset, Split, assemble

PIXEL_GAIN = 15
"""The pixels' range 0 to 16 becomes 0 to 240, so that they use the eight bits of the input."""

SPLIT_SEED = 0


def load_digits(validation_fraction: float = 0.1) -> Dataset:
    """Digits in one stratified 80/20 split with seed 0; validation is split from the 80 %."""
    embedded = load_embedded_digits()
    images = (embedded.images[:, None] * PIXEL_GAIN).astype(np.uint8)
    labels = embedded.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=SPLIT_SEED, stratify=labels
    )
    train, test = Split(train_images, train_labels), Split(test_images, test_labels)
    return assemble("digits", 10, train, test, validation_fraction)
