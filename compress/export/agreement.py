"""How closely the integer network follows the fp32 fake-quantised model it was exported from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tritforge.compress.export.integer_evaluation import IntegerEvaluator
from tritforge.compress.models.evaluation import batches, device_of, predict
from tritforge.compress.models.kinds.node import map_step
from tritforge.compress.models.model import Model
from tritforge.errors import NetworkError
from tritforge.network import reference
from tritforge.network.layer import INPUT
from tritforge.network.network import Network

EQUAL_ARGMAX = 0.995
WITHIN_ONE = 0.999


@dataclass(frozen=True, eq=False)
class Agreement:
    """The comparison over a set of images.

    Attributes:
        model_classes, integer_classes: of every image, ``(n,)``.
        within_one: by layer with a requantised map, the fraction of activations that differ by at most 1 when the
            integer layer is fed the model's own maps.
    """

    model_classes: NDArray[np.int64]
    integer_classes: NDArray[np.int64]
    within_one: dict[str, float]

    @property
    def equal_argmax_fraction(self) -> float:
        """Images whose class is the same."""
        return float(np.mean(self.model_classes == self.integer_classes))

    @property
    def worst_layer(self) -> float:
        return min(self.within_one.values(), default=1.0)

    def holds(self) -> bool:
        """Whether both bounds of the export are kept."""
        return self.equal_argmax_fraction >= EQUAL_ARGMAX and self.worst_layer >= WITHIN_ONE


@torch.no_grad()
def compare(model: Model, network: Network, images: NDArray[np.uint8], limit: int = 512) -> Agreement:
    """Compare model and network: their classes on all images, their maps on the first ``limit``.

    Args:
        model: ternary model; it is left in evaluation mode.
        network: its export.
        images: ``(n, C, H, W)`` pixels.
        limit: images at most whose maps are compared; the integer side of those runs in the reference model.

    Raises:
        NetworkError: no images.
    """
    if not len(images):
        raise NetworkError("the agreement of model and network needs at least one image")
    classes = predict(model, images)
    integer = IntegerEvaluator(network, device_of(model)).classify(images)
    close = {layer.name: 0 for layer in network.layers[:-1]}
    count = dict.fromkeys(close, 0)
    for batch in batches(images[:limit], device_of(model)):
        real = model.maps(batch)
        levels = {INPUT: batch.cpu().numpy().astype(np.int64)}
        for name in close:
            levels[name] = np.rint(real[name].cpu().double().numpy() / map_step(model.stage(name))).astype(np.int64)
        for name in close:
            difference = np.abs(reference.run_layer(network, network.layer(name), levels) - levels[name])
            close[name] += int((difference <= 1).sum())
            count[name] += difference.size
    return Agreement(classes, integer, {name: close[name] / count[name] for name in close})
