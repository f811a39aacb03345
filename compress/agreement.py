"""How closely the integer network follows the fp32 fake-quantised model it was exported from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tritforge import reference
from tritforge.compress.evaluation import batches, device_of
from tritforge.compress.export import map_step
from tritforge.compress.models import Model
from tritforge.errors import NetworkError
from tritforge.network import INPUT, Network

EQUAL_ARGMAX = 0.995
WITHIN_ONE = 0.999


@dataclass(frozen=True)
class Agreement:
    """The comparison over a set of images.

    Attributes:
        images: how many.
        equal_argmax_fraction: images whose class is the same.
        within_one: by layer with a requantised map, the fraction of activations that differ by at most 1 when the
            integer layer is fed the model's own maps.
    """

    images: int
    equal_argmax_fraction: float
    within_one: dict[str, float]

    @property
    def worst_layer(self) -> float:
        return min(self.within_one.values(), default=1.0)

    def holds(self) -> bool:
        """Whether both bounds of the export are kept."""
        return self.equal_argmax_fraction >= EQUAL_ARGMAX and self.worst_layer >= WITHIN_ONE


@torch.no_grad()
def compare(model: Model, network: Network, images: NDArray[np.uint8], limit: int = 512) -> Agreement:
    """Compare model and network on the first ``limit`` images.

    Args:
        model: ternary model in evaluation mode.
        network: its export.
        images: ``(n, C, H, W)`` pixels.
        limit: images at most; the integer side runs in the reference model.

    Raises:
        NetworkError: no images.
    """
    images = images[:limit]
    if not len(images):
        raise NetworkError("the agreement of model and network needs at least one image")
    model.eval()
    equal = 0
    close = {layer.name: 0 for layer in network.layers[:-1]}
    count = dict.fromkeys(close, 0)
    for batch in batches(images, device_of(model)):
        real = model.maps(batch)
        levels = {INPUT: batch.cpu().numpy().astype(np.int64)}
        for name in close:
            levels[name] = np.rint(real[name].cpu().double().numpy() / map_step(model.stage(name))).astype(np.int64)
        for name in close:
            difference = np.abs(reference.run_layer(network, network.layer(name), levels) - levels[name])
            close[name] += int((difference <= 1).sum())
            count[name] += difference.size
        predicted = np.argmax(real[network.layers[-1].name].cpu().numpy(), axis=1)
        equal += int((predicted == reference.classify(network, levels[INPUT])).sum())
    return Agreement(len(images), equal / len(images), {name: close[name] / count[name] for name in close})
