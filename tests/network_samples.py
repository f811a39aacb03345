"""Networks and changes to them that the tests of several modules share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tritforge.network.arithmetic import BIAS_BITS, MULTIPLIER_BITS
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.layer import InputSpec
from tritforge.network.network import Network
from tritforge.network.pe_groups import group_weights, nonzero_groups, ungroup_weights
from tritforge.network.trit_order import network_trits, with_trits
from tritforge.samples.random_network import random_layer_network, random_network


def tiny_network(seed: int = 0) -> Network:
    """:func:`grouped_network` in groups of four channels."""
    return grouped_network(4, seed)


def grouped_network(group_channels: int, seed: int = 0) -> Network:
    """Stem with zero points, two ternary layers with ragged groups, pool and logits; a few hundred trits."""
    rng = np.random.default_rng(seed)
    image = InputSpec(2, 4, 3, 8, (7, 200))
    stem = convolution(
        "stem", "input", rng.integers(-15, 16, (3, 2, 3, 3)), group_channels=group_channels, weight_bits=5
    )
    first = convolution(
        "first", "stem", trits(rng, (6, 3, 3, 3), group_channels), group_channels=group_channels, stride=2
    )
    second = convolution("second", "first", trits(rng, (10, 6, 1, 1), group_channels), group_channels=group_channels)
    second = replace(second, residual="first", residual_multiplier=3)
    pool = AveragePool("pool", "second", np.full(10, 3), np.arange(10), 2)
    fc = convolution("fc", "pool", rng.integers(-100, 101, (4, 10, 1, 1)), group_channels=group_channels, weight_bits=9)
    fc = replace(fc, logits=True, shift=0)
    return Network(image, (stem, first, second, pool, fc), 8, group_channels, {"seed": seed})


def convolution(
    name: str, source: str, weights: np.ndarray, *, group_channels: int, weight_bits: int = 2, stride: int = 1
) -> Convolution:
    """A convolution of the given integers with plain affine values; all non-zero groups stored and active."""
    outputs = weights.shape[0]
    bitmap = nonzero_groups(weights, group_channels) if weight_bits == 2 else None
    return Convolution(
        name=name,
        input=source,
        weights=weights.astype(np.int16),
        weight_bits=weight_bits,
        stride=stride,
        multiplier=np.arange(1, outputs + 1),
        bias=np.arange(outputs) * 100 - 50,
        shift=3,
        stored=bitmap,
        active=() if bitmap is None else (bitmap,),
    )


def trits(rng: np.random.Generator, shape: tuple[int, int, int, int], group_channels: int) -> np.ndarray:
    """Trits of which about a third of the groups are zero."""
    groups = group_weights(rng.integers(-1, 2, shape), group_channels)
    groups[rng.random(groups.shape[:2]) < 0.3] = 0
    return ungroup_weights(groups, shape[1], shape[2])


def any_network(seed: int) -> Network:
    """A random network of any kind."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return random_network(rng, activation_bits=16 if seed % 3 == 0 else 8, max_channels=32, group_channels=16)
    return random_layer_network(rng, "option_a" if seed % 4 else "conv1x1", group_channels=16)


def changed(network: Network, seed: int, trit_ratio: float, affine_ratio: float = 0.0) -> Network:
    """A network in the same frame: some trits of stored groups and some affine entries differ."""
    rng = np.random.default_rng(seed)
    values = network_trits(network)
    chosen = rng.random(values.size) < trit_ratio
    values[chosen] = (values[chosen] + 1 + rng.integers(1, 3, chosen.sum())) % 3 - 1
    network = with_trits(network, values)
    layers = {}
    for layer in network.layers:
        pick = rng.random(layer.multiplier.size) < affine_ratio
        multiplier, bias = layer.multiplier.copy(), layer.bias.copy()
        top = 1 << (MULTIPLIER_BITS - 1), 1 << (BIAS_BITS - 1)
        if isinstance(layer, Convolution) and layer.logits:
            top = 8, 1 << 20
        multiplier[pick] = rng.integers(-top[0], top[0], pick.sum())
        bias[pick] = rng.integers(-top[1], top[1], pick.sum())
        layers[layer.name] = replace(layer, multiplier=multiplier, bias=bias)
    return network.with_layers(layers)
