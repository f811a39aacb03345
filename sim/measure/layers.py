"""Speedup of single layers from skipping zero groups, as dissertation Table 7 measures it.

The same layer shape runs many times back to back, once with its zero groups skipped and once on the same array with
every group stored and issued. Cycles are the hardware's own counters; the simulator's clock has to agree with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tritforge.errors import TritforgeError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec, Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups, ungroup_weights
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.sim.runs.accelerator import AcceleratorJob, Inference


@dataclass(frozen=True)
class LayerShape:
    """A 3x3 layer: channels in and out, rows and columns, and how many groups of ``C_g`` channels are not zero."""

    name: str
    channels: int
    size: int
    nonzero: int
    group_channels: int

    @property
    def groups(self) -> int:
        return self.channels * (self.channels // self.group_channels)


TABLE_7 = (
    LayerShape("stage 1", 16, 32, 9, 16),
    LayerShape("stage 2", 32, 16, 33, 16),
    LayerShape("stage 3", 64, 8, 119, 16),
)
"""The three layers of dissertation Table 7; maps as in ResNet-20."""


@dataclass(frozen=True)
class LayerSpeed:
    """Cycles of one layer shape, with skipping and with every group issued, back to back; and one run alone."""

    name: str
    groups: int
    nonzero_groups: int
    cycles_dense: float
    cycles_sparse: float
    speedup: float
    ideal_speedup: float
    efficiency: float
    isolated_speedup: float


def layer_network(shape: LayerShape, repeats: int, activation_bits: int, seed: int) -> Network:
    """A network that is ``repeats`` layers of a shape, then the pool and logits that every program ends with.

    Each layer's zero groups are drawn anew; gains keep activations inside their range.
    """
    rng = np.random.default_rng(seed)
    channels, lanes = shape.channels, shape.group_channels
    blocks = channels // lanes
    layers: list[Layer] = []
    previous = "input"
    for index in range(repeats):
        keep = np.zeros(shape.groups, dtype=np.bool_)
        keep[rng.permutation(shape.groups)[: shape.nonzero]] = True
        trits = rng.choice([-1, 0, 1], (channels, blocks, 9, lanes), p=[0.3, 0.4, 0.3])
        trits[:, :, 4, 0] = 1  # a group that counts as non-zero holds a trit
        weights = ungroup_weights(trits * keep.reshape(channels, blocks, 1, 1), channels, 3).astype(np.int16)
        stored = nonzero_groups(weights, lanes)
        gain = np.full(channels, 1 << 12, dtype=np.int64)
        bias = np.full(channels, 1 << (activation_bits + 15), dtype=np.int64)
        name = f"layer{index}"
        layers.append(Convolution(name, previous, weights, 2, 1, gain, bias, 16, stored=stored, active=(stored,)))
        previous = name
    one = np.ones(channels, dtype=np.int64)
    layers.append(AveragePool("pool", previous, one, 0 * one, (shape.size * shape.size - 1).bit_length()))
    last = rng.integers(-127, 128, (10, channels, 1, 1)).astype(np.int16)
    ten = np.ones(10, dtype=np.int64)
    layers.append(Convolution("logits", "pool", last, 8, 1, ten, 0 * ten, 0, logits=True))
    spec = InputSpec(channels, shape.size, shape.size, activation_bits, (0,) * channels)
    return Network(spec, tuple(layers), activation_bits, lanes)


def bench_layers(
    parameters: AcceleratorParameters,
    shapes: Sequence[LayerShape] = TABLE_7,
    repeats: int = 16,
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> list[LayerSpeed]:
    """Measure every shape, ``repeats`` runs back to back and one run alone.

    Raises:
        TritforgeError: a word differs from the reference model, or the hardware's cycles from the simulator's clock.
    """
    speeds = []
    rng = np.random.default_rng(seed)
    for shape in shapes:
        runs = {}
        for count in (repeats, 1):
            network = layer_network(shape, count, parameters.activation_bits, seed)
            images = rng.integers(0, 1 << parameters.activation_bits, (2, shape.channels, shape.size, shape.size))
            job = AcceleratorJob(_with_room(parameters, network))
            steps = []
            for version, every_group in enumerate((False, True), start=1):
                job.load(network, version=version, every_group=every_group)
                steps.append(job.infer(images))
            outcome = job.run(seed=seed + 1)
            runs[count] = [_layer_cycles(outcome[step], count) for step in steps]
            if advance is not None:
                advance(1)
        sparse, dense = runs[repeats]
        isolated_sparse, isolated_dense = runs[1]
        ideal = shape.groups / shape.nonzero
        speeds.append(
            LayerSpeed(
                name=shape.name,
                groups=shape.groups,
                nonzero_groups=shape.nonzero,
                cycles_dense=dense,
                cycles_sparse=sparse,
                speedup=dense / sparse,
                ideal_speedup=ideal,
                efficiency=dense / sparse / ideal,
                isolated_speedup=isolated_dense / isolated_sparse,
            )
        )
    return speeds


def _with_room(parameters: AcceleratorParameters, network: Network) -> AcceleratorParameters:
    """The array of ``parameters`` with weight memory for every group of the network, skipped or not."""
    lanes = network.group_channels
    groups = sum(layer.outputs * -(-layer.inputs // lanes) for layer in network.convolutions())
    return replace(parameters, slots=max(parameters.slots, 1 << (groups + 128).bit_length()))


def _layer_cycles(run: Inference, repeats: int) -> float:
    """Cycles of the repeated layers of the last image, with their share of the steps between layers."""
    if run.mismatching_words:
        raise TritforgeError(f"{run.mismatching_words} words differ from the reference model; its cycles count nothing")
    if run.counters["cycles"] != run.counters["simulator_cycles"]:
        raise TritforgeError(
            f"the hardware counted {run.counters['cycles']} cycles, the simulator {run.counters['simulator_cycles']}"
        )
    cycles = [layer["cycles"] for layer in run.layers.values()]
    between = (run.latency_cycles - sum(cycles)) / len(cycles)
    return sum(cycles[:repeats]) + repeats * between
