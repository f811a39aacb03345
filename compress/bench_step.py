"""Seconds of an optimiser step: full precision, ternary with penalty, and ternary with 8-bit activations, in one run.

The three take turns, so that whatever else the machine does falls on all of them alike; medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from tritforge.compress.models import build_model
from tritforge.compress.recipe import Recipe
from tritforge.compress.train import make_optimizer, training_step
from tritforge.resnet_network import IMAGE, IMAGE_ZERO

CLASSES = 10
WARM_UP = 2
"""Rounds that are not timed."""


@dataclass(frozen=True)
class StepSeconds:
    """Median seconds of a step of each kind.

    Attributes:
        plain_step_seconds: full precision, no penalty.
        ternary_step_seconds: ternary weights and their penalty; end layers and activations in floating point.
        ternary_a8_step_seconds: the same with 8-bit activations and 8-bit end layers, as it is exported.
        ratio, ratio_a8: the second and the third over the first.
        ranges: fastest and slowest step of each kind.
    """

    plain_step_seconds: float
    ternary_step_seconds: float
    ternary_a8_step_seconds: float
    ratio: float
    ratio_a8: float
    ranges: dict[str, tuple[float, float]]


def step_recipes(
    topology: str, batch_size: int, threads: int, bfloat16: bool, channels_last: bool, fused: bool
) -> dict[str, Recipe]:
    """The recipes whose steps are compared, by kind."""
    plain = Recipe(
        topology=topology,
        precision="float",
        batch_size=batch_size,
        weight_decay=5e-4,
        threads=threads,
        bfloat16=bfloat16,
        channels_last=channels_last,
        fused=fused,
    )
    a8 = replace(plain, precision="ternary", penalty=5e-4, clipping=1.2)
    return {"plain": plain, "ternary": replace(a8, end_layers="float", activation_bits=32), "ternary_a8": a8}


def bench_steps(
    topology: str = "resnet20",
    batch_size: int = 128,
    repeats: int = 15,
    *,
    threads: int = 1,
    bfloat16: bool = True,
    channels_last: bool = True,
    fused: bool = True,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> StepSeconds:
    """Time steps on random images ``(batch_size, 3, 32, 32)`` on the CPU, ``repeats`` of each kind.

    Args:
        advance: called with the number of steps just done, of ``3 * (WARM_UP + repeats)``.

    Raises:
        RecipeError: a topology that there is not.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    images = torch.randint(0, 256, (batch_size, *IMAGE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (batch_size,))
    runs = {}
    for kind, recipe in step_recipes(topology, batch_size, threads, bfloat16, channels_last, fused).items():
        model = build_model(recipe, IMAGE, CLASSES, IMAGE_ZERO)
        runs[kind] = recipe, model, make_optimizer(recipe, model)
    seconds: dict[str, list[float]] = {kind: [] for kind in runs}
    for turn in range(WARM_UP + repeats):
        for kind, (recipe, model, optimizer) in runs.items():
            began = time.perf_counter()
            training_step(recipe, model, optimizer, recipe.learning_rate, images, labels)
            if turn >= WARM_UP:
                seconds[kind].append(time.perf_counter() - began)
            if advance is not None:
                advance(1)
    plain, ternary, a8 = (statistics.median(times) for times in seconds.values())
    ranges = {kind: (min(times), max(times)) for kind, times in seconds.items()}
    return StepSeconds(plain, ternary, a8, ternary / plain, a8 / plain, ranges)
