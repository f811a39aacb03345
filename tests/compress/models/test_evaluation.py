from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tritforge.compress.models.evaluation import BATCH, accuracy, predict, settle_statistics


class Levels(nn.Module):
    """Logits by the pixel of an image of one pixel: its own class, or all alike."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor([[1.0, 3.0, 2.0], [2.0, 5.0, 5.0], [4.0, 4.0, 4.0]]))

    def forward(self, images):
        return self.table[images.flatten().long()]


def test_ties_go_to_the_lowest_class():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert predict(Levels(), images).tolist() == [1, 1, 0]


def test_accuracy_is_the_percentage_of_equal_classes():
    assert accuracy(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 2])) == 75.0


class Normed(nn.Module):
    """A batch norm over pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images):
        return self.norm(images.float())


@pytest.mark.parametrize("rest", [0, 1, 2, 100])
def test_statistics_are_means_over_batches_of_two_images_and_more(rest):
    images = np.random.default_rng(rest).integers(0, 256, (BATCH + rest, 1, 2, 2), dtype=np.uint8)
    model = Normed()
    settle_statistics(model, images)
    parts = [images[:BATCH]] + [images[BATCH:]] * (rest > 1)
    assert model.norm.running_mean.item() == pytest.approx(np.mean([part.mean() for part in parts]), rel=1e-5)
    assert model.norm.running_var.item() == pytest.approx(np.mean([part.var(ddof=1) for part in parts]), rel=1e-4)
    assert not model.training
