"""ResNets for CIFAR-sized images with random weights and an exact share of zero groups, for measurements of speed.

Topology as in He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), 4.2: a 3x3 stem, three stages of
16, 32 and 64 channels on maps of 32, 16 and 8 pixels, identity shortcuts of option A, global average pool and one
fully connected layer. Stem and fully connected layer are multi-bit, all others ternary. Affine values keep activations
in the middle of their range, so that words differ and few saturate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import NetworkError
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import TERNARY_BITS, Convolution
from tritforge.network.layer import INPUT, InputSpec, Layer
from tritforge.network.network import Network
from tritforge.network.pe_groups import nonzero_groups, ungroup_weights

DEPTHS = (20, 32, 44, 56)
WIDTHS = (16, 32, 64)
IMAGE = (3, 32, 32)
IMAGE_BITS = 8
IMAGE_ZERO = (125, 123, 114)
"""Mean CIFAR-10 pixel, by colour."""
SHIFT = 16
MEAN, SPREAD = 0.4, 0.18
"""Aimed-at mean and standard deviation of activations, as parts of their range."""


def resnet_network(
    depth: int = 20,
    zero_groups: float = 0.5,
    *,
    activation_bits: int = 8,
    stem_bits: int = 5,
    group_channels: int,
    classes: int = 10,
    seed: int = 0,
) -> Network:
    """A ResNet with random weights.

    Args:
        depth: 20, 32, 44 or 56 layers.
        zero_groups: part of the groups of every ternary layer that is zero, rounded to a whole number of them.
        activation_bits: ``A``, 8 or 16.
        stem_bits: weight bits of the stem, 3 to 9; 5 bits are four planes, one pass of the PE's quads.
        group_channels: ``C_g``, 8 or 16: a group is ``C_g`` x 3 x 3 weights.
        classes: logits.
        seed: of the weights.

    Raises:
        NetworkError: a depth or a part that there is not.
    """
    if depth not in DEPTHS:
        raise NetworkError(f"depth is {depth}; allowed are {', '.join(map(str, DEPTHS))}")
    if not 0 <= zero_groups <= 1:
        raise NetworkError(f"zero_groups is {zero_groups}; allowed are 0 to 1")
    rng = np.random.default_rng(seed)
    spec = InputSpec(*IMAGE, IMAGE_BITS, IMAGE_ZERO)
    top = (1 << activation_bits) - 1
    stem = _multi_bit(rng, (WIDTHS[0], IMAGE[0], 3, 3), stem_bits)
    pixel = (0.0, 64.0)  # centred on the zero point
    layers: list[Layer] = [_convolution("stem", INPUT, stem, stem_bits, 1, pixel, top, group_channels)]
    inner = (MEAN * top, SPREAD * top)
    width = WIDTHS[0]
    for stage, outputs in enumerate(WIDTHS, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            entry, name = layers[-1].name, f"stage{stage}.block{block}"
            stride = 2 if outputs > width else 1
            first = _ternary(rng, outputs, width, zero_groups, group_channels)
            second = _ternary(rng, outputs, outputs, zero_groups, group_channels)
            layers += [
                _convolution(f"{name}.conv1", entry, first, TERNARY_BITS, stride, inner, top, group_channels),
                _convolution(
                    f"{name}.conv2", f"{name}.conv1", second, TERNARY_BITS, 1, inner, top, group_channels, entry
                ),
            ]
            width = outputs
    pixels = (IMAGE[1] // 4) * (IMAGE[2] // 4)
    gain = np.full(width, (1 << SHIFT) // pixels, dtype=np.int64)
    layers.append(AveragePool("pool", layers[-1].name, gain, np.zeros(width, dtype=np.int64), SHIFT))
    last = _multi_bit(rng, (classes, width, 1, 1), 8)
    one = np.ones(classes, dtype=np.int64)
    layers.append(Convolution("classifier", "pool", last, 8, 1, one, 0 * one, 0, logits=True))
    provenance = {"generator": f"resnet{depth}", "zero_groups": zero_groups, "seed": seed}
    return Network(spec, tuple(layers), activation_bits, group_channels, provenance)


def _multi_bit(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> NDArray[np.int16]:
    limit = (1 << (bits - 1)) - 1
    return rng.integers(-limit, limit + 1, shape).astype(np.int16)


def _ternary(
    rng: np.random.Generator, outputs: int, channels: int, zero_groups: float, group_channels: int
) -> NDArray[np.int16]:
    """Trits ``(outputs, channels, 3, 3)``: exactly ``zero_groups`` of the groups are zero, the others hold a trit."""
    count = outputs * channels // group_channels
    keep = np.ones(count, dtype=np.bool_)
    keep[rng.permutation(count)[: round(zero_groups * count)]] = False
    trits = rng.choice(
        np.array([-1, 0, 1], dtype=np.int16),
        (outputs, channels // group_channels, 9, group_channels),
        p=[0.25, 0.5, 0.25],
    )
    trits[:, :, 4, 0] |= 1  # never zero as a whole: -1 and 1 stay, 0 becomes 1
    return ungroup_weights(trits * keep.reshape(outputs, -1, 1, 1), channels, 3).astype(np.int16)


def _convolution(
    name: str,
    source: str,
    weights: NDArray[np.int16],
    weight_bits: int,
    stride: int,
    inputs: tuple[float, float],
    top: int,
    group_channels: int,
    residual: str | None = None,
) -> Convolution:
    """A convolution that carries inputs of this mean and deviation to outputs around ``MEAN``, ``SPREAD`` wide."""
    scale = 1 << SHIFT
    part = 0.5 if residual else 0.0
    centre = weights.sum(axis=(1, 2, 3)) * inputs[0]
    deviation = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3))) * inputs[1]
    gain = (1 - part) * SPREAD * top * scale / np.maximum(deviation, 1)
    multiplier = np.clip(np.rint(gain), 1, 32767).astype(np.int64)
    bias = np.rint((1 - part) * MEAN * top * scale - multiplier * centre).astype(np.int64)
    stored = nonzero_groups(weights, group_channels) if weight_bits == TERNARY_BITS else None
    return Convolution(
        name=name,
        input=source,
        weights=weights,
        weight_bits=weight_bits,
        stride=stride,
        multiplier=multiplier,
        bias=bias,
        shift=SHIFT,
        residual=residual,
        residual_multiplier=round(part * scale),
        stored=stored,
        active=() if stored is None else (stored,),
    )
