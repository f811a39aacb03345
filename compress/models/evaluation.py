"""Accuracy of trainable models, and their statistics in fp32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tritforge.compress.data.dataset import Split
from tritforge.compress.layers.activations import ActivationQuantiser
from tritforge.compress.models.model import Model

BATCH = 256

Change = Callable[[Tensor, int], Tensor]


class ImagesOnDevice:
    """Images ``(n, C, H, W)`` to choose from: all on the device, or read as they are asked for from a mapped file."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self._images = images if isinstance(images, np.memmap) else torch.from_numpy(images).to(device)
        self._device = device

    def __getitem__(self, chosen: Tensor) -> Tensor:
        """The images of indices ``(B,)`` on the device, ``(B, C, H, W)``."""
        if isinstance(self._images, Tensor):
            return self._images[chosen]
        return torch.from_numpy(np.asarray(self._images[chosen.cpu().numpy()])).to(self._device)


def batches(images: NDArray[np.uint8], device: torch.device, size: int = BATCH) -> Iterator[Tensor]:
    """Images in order, copied to tensors of at most ``size``."""
    for start in range(0, len(images), size):
        yield torch.tensor(images[start : start + size]).to(device)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters lie."""
    return next(model.parameters()).device


@torch.no_grad()
def predict(model: Model, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Class of each image by the model in evaluation mode, in fp32; ties go to the lowest class."""
    model.eval()
    logits = [model(batch).cpu() for batch in batches(images, device_of(model))]
    return np.argmax(torch.cat(logits).numpy(), axis=1)


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Percent of equal entries."""
    return 100.0 * float(np.mean(predicted == labels))


def model_accuracy(model: Model, split: Split) -> float:
    """Percent of a split that the model classifies rightly."""
    return accuracy(predict(model, split.images), split.labels)


@torch.no_grad()
def settle_statistics(model: Model, images: NDArray[np.uint8], change: Change | None = None) -> None:
    """Replace running batch-norm statistics by averages over all ``images``, in fp32 and with fixed activation scales.

    Running means gathered while trits still change, or in bfloat16, are not what export should fold.

    Args:
        model: the model; it is left in evaluation mode.
        images: pixels ``(n, C, H, W)``.
        change: from a batch of them and the place of its first to what the model sees instead.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    tracked = track_scales(model, False)
    model.train()
    for number, batch in enumerate(batches(images, device_of(model))):
        if len(batch) > 1:
            model(batch if change is None else change(batch, number * BATCH))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    track_scales(model, tracked)
    model.eval()


def track_scales(model: Model, tracking: bool) -> bool:
    """Say whether training moves the activation scales; returns what held before."""
    quantisers = [module for module in model.modules() if isinstance(module, ActivationQuantiser)]
    before = all(quantiser.tracking for quantiser in quantisers)
    for quantiser in quantisers:
        quantiser.tracking = tracking
    return before
