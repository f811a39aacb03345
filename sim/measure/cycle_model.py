"""The cycle model against the simulated accelerator: ResNets and random networks, every result's cycle compared.

Images stream in back to back and results are taken at once, so that a row of images is bound by the array or by the
image input, whichever is slower; both are compared. Every word of every map is compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.cost.cycle_model import predict
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.resnet_network import DEPTHS, resnet_network
from tritforge.sim.measure.equality import random_networks
from tritforge.sim.measure.network import pixels
from tritforge.sim.runs.accelerator import AcceleratorJob

IMAGES = 6
"""Images of a random network back to back."""
RESNET_IMAGES = 3

Case = tuple[str, Network, NDArray]


def random_cases(parameters: AcceleratorParameters, count: int, seed: int) -> Iterator[Case]:
    """Random networks with images ``(IMAGES, C, H, W)``."""
    made = random_networks(count, parameters.activation_bits, seed, parameters.group_channels, IMAGES)
    for index, (network, images) in enumerate(made):
        yield f"random-{index}", network, images


def resnet_cases(parameters: AcceleratorParameters, seed: int) -> Iterator[Case]:
    """ResNet-20, 32, 44 and 56 with half of the groups of every ternary layer zero, a 5-bit stem, random weights."""
    for depth in DEPTHS:
        network = resnet_network(
            depth,
            0.5,
            activation_bits=parameters.activation_bits,
            group_channels=parameters.group_channels,
            seed=seed,
        )
        yield f"resnet{depth}", network, pixels(network, 0, RESNET_IMAGES, seed)


def compare_cycles(
    parameters: AcceleratorParameters,
    cases: Iterable[Case],
    seed: int,
    advance: Callable[[int], object] | None = None,
) -> list[dict[str, Any]]:
    """Simulate every case in one simulation: its first image alone, then all of them back to back.

    Args:
        parameters: the accelerator; memories grow until they hold every case.
        seed: of the values that registers and memories start with.
        advance: called with the number of further images that are done.

    Returns:
        A row for each case, as JSON: ``predicted_latency_cycles`` and ``latency_cycles`` of the image alone,
        ``predicted_distances`` and ``distances`` between results back to back, ``mismatching_words``, and ``close``:
        latency and mean distance are within 1 % or 8 cycles.
    """
    cases = list(cases)
    for _, network, _ in cases:
        parameters = fitting_parameters(network, parameters, every_group=False)
    job = AcceleratorJob(parameters)
    steps = []
    for _, network, images in cases:
        job.load(network)
        steps.append((job.infer(images[:1]), job.infer(images)))
    outcome = job.run(seed=seed, progress=advance)
    rows = []
    for (name, network, images), (first, together) in zip(cases, steps, strict=True):
        alone, row = outcome[first], outcome[together]
        predicted = predict(lower(network, parameters), len(images))
        near = close(predicted.latency_cycles, alone.latency_cycles)
        near &= close(float(np.mean(predicted.distances)), float(np.mean(row.distances)))
        rows.append(
            {
                "name": name,
                "predicted_latency_cycles": predicted.latency_cycles,
                "latency_cycles": alone.latency_cycles,
                "predicted_distances": predicted.distances,
                "distances": row.distances,
                "input_bound": predicted.input_cycles >= predicted.cycles_per_image,
                "close": near,
                "mismatching_words": alone.mismatching_words + row.mismatching_words,
            }
        )
    return rows


def close(predicted: float, measured: float) -> bool:
    """Within 1 % or 8 cycles."""
    return abs(predicted - measured) <= max(measured / 100, 8)


def summary(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """How many rows are close, how many exact to the cycle, and the largest differences.

    ``latency_error`` and ``distance_error`` are parts of what was measured, of single distances too.
    """
    rows = list(rows)
    latency = [_error(row["predicted_latency_cycles"], row["latency_cycles"]) for row in rows]
    distance = [
        max(_error(*pair) for pair in zip(row["predicted_distances"], row["distances"], strict=True)) for row in rows
    ]
    return {
        "networks": len(rows),
        "networks_close": sum(row["close"] for row in rows),
        "networks_exact": sum(one == other == 0 for one, other in zip(latency, distance, strict=True)),
        "networks_input_bound": sum(row["input_bound"] for row in rows),
        "latency_error": max(latency),
        "distance_error": max(distance),
        "mismatching_words": sum(row["mismatching_words"] for row in rows),
    }


def _error(predicted: int, measured: int) -> float:
    return abs(predicted - measured) / measured
