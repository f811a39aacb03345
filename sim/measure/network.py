"""Cycles of whole ResNets, zero groups skipped and every group issued, with every word compared.

The network runs over its images in pieces, each a simulation of its own of the whole accelerator over its streams; one
image alone comes first. The baseline is the same array with every group stored and issued. Cycles are the hardware's
own counters and the times of its results by the simulator's clock, which have to agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tritforge.cost.cycle_model import LayerPrediction, Prediction, predict
from tritforge.cost.energy_model import Energy, energy
from tritforge.errors import TritforgeError
from tritforge.network.network import Network
from tritforge.overlay.issued_groups import ideal_speedup, issued_groups
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.runs.accelerator import AcceleratorJob, Inference

PIECE_IMAGES = 50
"""Images of a simulation: enough that loading the program over AXI4-Lite takes the smaller part of its time."""


@dataclass(frozen=True)
class Piece:
    """Images ``first`` to ``first + count - 1``, zero groups skipped or every group issued."""

    every_group: bool
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{'every-group' if self.every_group else 'skipping'}-{self.first:05}"


def pieces(images: int, dense_images: int) -> list[Piece]:
    """The measurement in parts: ``images`` images with skipping, ``dense_images`` with every group issued."""
    return [
        Piece(every_group, first, min(PIECE_IMAGES, count - first))
        for every_group, count in ((True, dense_images), (False, images))
        for first in range(0, count, PIECE_IMAGES)
    ]


def pixels(network: Network, first: int, count: int, seed: int) -> NDArray[np.int64]:
    """Images ``(count, C, H, W)`` of random pixels; an image depends on its number alone."""
    spec = network.input
    shape = (spec.channels, spec.height, spec.width)
    numbers = range(first, first + count)
    return np.stack([np.random.default_rng([seed, n]).integers(0, 1 << spec.bits, shape) for n in numbers])


def run_piece(network: Network, parameters: AcceleratorParameters, piece: Piece, seed: int) -> dict[str, Any]:
    """Simulate a piece: its first image alone, then all of them back to back.

    Args:
        parameters: the accelerator; memories grow where the piece does not fit.

    Returns:
        As JSON: ``images`` back to back, ``words`` compared and those ``differing`` by layer, of both runs;
        ``cycles_per_image`` between results, ``latency_cycles`` of the image alone, and the counters of every layer
        in the last image back to back (``layers``) and alone (``layers_alone``).

    Raises:
        TritforgeError: the hardware's cycles differ from the simulator's clock.
    """
    images = pixels(network, piece.first, piece.count, seed)
    job = AcceleratorJob(fitting_parameters(network, parameters, piece.every_group))
    job.load(network, every_group=piece.every_group)
    steps = job.infer(images[:1]), job.infer(images)
    outcome = job.run(seed=seed + 1)
    alone, row = (_checked(outcome[step]) for step in steps)
    return {
        "images": row.images,
        "words": alone.words + row.words,
        "differing": {name: alone.differing[name] + count for name, count in row.differing.items()},
        "cycles_per_image": row.cycles_per_image,
        "latency_cycles": alone.latency_cycles,
        "layers": row.layers,
        "layers_alone": alone.layers,
    }


def summary(
    network: Network, parameters: AcceleratorParameters, measured: Iterable[tuple[Piece, Mapping[str, Any]]]
) -> dict[str, Any]:
    """The metrics of all pieces: what was measured, the ideal, and what the cycle model predicts.

    ``efficiency`` is the measured speedup by the ideal one: Σ tiles * groups over Σ tiles * non-zero groups, all layers
    and their bit planes counted.
    """
    measured = list(measured)
    sparse, dense = (
        [(piece.count, figures) for piece, figures in measured if piece.every_group is every_group]
        for every_group in (False, True)
    )
    program, full = (
        lower(network, fitting_parameters(network, parameters, every_group), every_group=every_group)
        for every_group in (False, True)
    )
    groups = issued_groups(program)
    predicted, predicted_full = predict(program), predict(full)
    cycles, cycles_full = _mean_cycles(sparse), _mean_cycles(dense)
    ideal = ideal_speedup(groups)
    differing: dict[str, int] = {}
    for _, figures in measured:
        for name, count in figures["differing"].items():
            differing[name] = differing.get(name, 0) + count
    first, last = sparse[0][1], dense[0][1]
    layers = _layer_rows(program.layer_names, groups, first["layers"], last["layers"], predicted, network)
    edge = [row["cycles"] for row in layers if row["multi_bit"]]
    return {
        "memories": program.parameters.depths,
        "memories_every_group": full.parameters.depths,
        "images": sum(figures["images"] for _, figures in sparse),
        "images_every_group": sum(figures["images"] for _, figures in dense),
        "words": sum(figures["words"] for _, figures in measured),
        "mismatching_words": sum(differing.values()),
        "differing_layers": {name: count for name, count in differing.items() if count},
        "cycles_per_image": cycles,
        "cycles_per_image_every_group": cycles_full,
        "latency_cycles": first["latency_cycles"],
        "latency_cycles_every_group": last["latency_cycles"],
        "predicted_cycles_per_image": float(predicted.cycles_per_image),
        "predicted_cycles_per_image_every_group": float(predicted_full.cycles_per_image),
        "predicted_latency_cycles": predicted.latency_cycles,
        "issued_groups": sum(layer.tiles * layer.nonzero_groups for layer in groups),
        "issued_groups_every_group": sum(layer.tiles * layer.groups for layer in groups),
        "speedup": cycles_full / cycles,
        "ideal_speedup": ideal,
        "efficiency": cycles_full / cycles / ideal,
        "first_and_last_layer_cycles": sum(edge),
        "energy_model_nj": _told(energy(program)),
        "energy_model_nj_every_group": _told(energy(full)),
        "layers": layers,
    }


def _told(modelled: Energy) -> dict[str, float]:
    return {name: round(value, 1) for name, value in (asdict(modelled) | {"total": modelled.total}).items()}


def _checked(run: Inference) -> Inference:
    if run.counters["cycles"] != run.counters["simulator_cycles"]:
        raise TritforgeError(
            f"the hardware counted {run.counters['cycles']} cycles, the simulator {run.counters['simulator_cycles']}"
        )
    return run


def _mean_cycles(runs: Iterable[tuple[int, Mapping[str, Any]]]) -> float:
    """Mean distance of results over pieces, each weighing as many distances as it has."""
    weighed = [(max(count - 1, 1), figures["cycles_per_image"]) for count, figures in runs]
    return sum(weight * cycles for weight, cycles in weighed) / sum(weight for weight, _ in weighed)


def _layer_rows(
    names: Iterable[str],
    groups: Iterable[Any],
    counted: Mapping[str, Mapping[str, int]],
    counted_full: Mapping[str, Mapping[str, int]],
    predicted: Prediction,
    network: Network,
) -> list[dict[str, Any]]:
    """A row for each layer: its shape in groups, counters in a row of images, and the prediction."""
    shapes = {layer.name: layer for layer in groups}
    ternary = {layer.name for layer in network.ternary_layers()}
    model: dict[str, LayerPrediction] = {layer.name: layer for layer in predicted.layers}
    rows = []
    for name in names:
        shape = shapes.get(name)
        rows.append(
            {
                "name": name,
                "multi_bit": shape is not None and name not in ternary,
                "tiles": shape.tiles if shape else 0,
                "groups": shape.groups if shape else 0,
                "nonzero_groups": shape.nonzero_groups if shape else 0,
                "cycles": counted[name]["cycles"],
                "cycles_every_group": counted_full[name]["cycles"],
                "predicted_cycles": model[name].cycles,
                "issued": counted[name]["issued"],
                "stall_windows": counted[name]["stall_windows"],
                "stall_accumulators": counted[name]["stall_accumulators"],
            }
        )
    return rows
