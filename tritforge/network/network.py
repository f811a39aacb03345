"""The integer network as data: what training exports, and what every back end must equal bit for bit.

A network is an input and an ordered tuple of layers, each naming the maps it reads. The last layer is fully connected
and gives the logits. Maps are unsigned ``A``-bit activations; the input is the unsigned pixel with an integer zero
point per channel, so that a layer that reads the input sees ``pixel - zero_point`` and pads with ``zero_point``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tritforge.errors import NetworkError
from tritforge.network.kinds.convolution import TERNARY_BITS, Convolution
from tritforge.network.kinds.table import KINDS
from tritforge.network.layer import INPUT, InputSpec, Layer, Shape
from tritforge.network.pe_groups import nonzero_groups

ACTIVATION_BITS = (8, 16)
MAX_GROUP_CHANNELS = 256


@dataclass(frozen=True, eq=False)
class Network:
    """An integer network; construction checks every rule of the contract and names the field that breaks it.

    ``provenance`` (recipe, seeds, accuracy, revision, ...) travels beside the integers and is not part of the digest.
    """

    input: InputSpec
    layers: tuple[Layer, ...]
    activation_bits: int
    group_channels: int
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_network(self)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """``(channels, height, width)`` of the input and of every layer's map, by name."""
        return map_shapes(self)

    @property
    def classes(self) -> int:
        return self.shapes[self.layers[-1].name][0]

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NetworkError(f"the network has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}")

    def convolutions(self) -> tuple[Convolution, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))

    def ternary_layers(self) -> tuple[Convolution, ...]:
        """The grouped layers, in order: the ones that partial updates and group sparsity are counted over."""
        return tuple(layer for layer in self.convolutions() if layer.ternary)

    def with_layers(self, replacements: dict[str, Layer]) -> Network:
        """A copy in which the named layers are replaced."""
        return replace(self, layers=tuple(replacements.get(layer.name, layer) for layer in self.layers))


def group_sparsity(network: Network) -> float:
    """Fraction of all-zero groups over the ternary layers, counted on trits (``G_s`` of eq. 2.8)."""
    bitmaps = [nonzero_groups(layer.weights, network.group_channels) for layer in network.ternary_layers()]
    total = sum(bitmap.size for bitmap in bitmaps)
    return 1.0 - sum(int(bitmap.sum()) for bitmap in bitmaps) / total if total else 0.0


def compression_rate(sparsity: float, bits: int = TERNARY_BITS) -> float:
    """Dissertation eq. 2.8: ``32 / ((1 - G_s) * n)``; infinite when every group is zero."""
    return 32.0 / ((1.0 - sparsity) * bits) if sparsity < 1.0 else float("inf")


def map_shapes(network: Network) -> dict[str, Shape]:
    """``(channels, height, width)`` by map name; raises NetworkError where a layer does not fit its inputs."""
    spec = network.input
    shapes = {INPUT: (spec.channels, spec.height, spec.width)}
    for layer in network.layers:
        if layer.name in shapes:
            raise NetworkError(f"layer {layer.name}: the name is used twice; names of maps are unique")
        if layer.input not in shapes:
            raise NetworkError(f"layer {layer.name}: reads {layer.input!r}, which no earlier layer gives")
        shapes[layer.name] = layer.shape(shapes)
    return shapes


def _check_network(network: Network) -> None:
    spec = network.input
    if network.activation_bits not in ACTIVATION_BITS:
        raise NetworkError(f"activation_bits is {network.activation_bits}; allowed are 8 and 16")
    if not 1 <= network.group_channels <= MAX_GROUP_CHANNELS:
        raise NetworkError(f"group_channels is {network.group_channels}; allowed are 1 to {MAX_GROUP_CHANNELS}")
    if not 1 <= spec.bits <= network.activation_bits:
        raise NetworkError(f"input.bits is {spec.bits}; allowed are 1 to {network.activation_bits}")
    if min(spec.channels, spec.height, spec.width) < 1:
        raise NetworkError(f"input shape is {spec.channels}x{spec.height}x{spec.width}; every size is at least 1")
    if len(spec.zero_point) != spec.channels or not all(0 <= z < 1 << spec.bits for z in spec.zero_point):
        highest = (1 << spec.bits) - 1
        raise NetworkError(
            f"input.zero_point is {list(spec.zero_point)}; it takes {spec.channels} values from 0 to {highest}"
        )
    if not network.layers:
        raise NetworkError("the network has no layers; at least a fully connected one is needed")
    for layer in network.layers:
        if KINDS.get(layer.kind) is not type(layer):
            raise NetworkError(
                f"layer {layer.name}: there is no kind of layer {layer.kind!r}; there are {', '.join(KINDS)}"
            )
        if not layer.name.isprintable():
            raise NetworkError(f"layer {layer.name}: the name holds a character that cannot be printed")
        layer.check(network.group_channels)
    counts = {len(layer.active) for layer in network.ternary_layers()}
    if len(counts) > 1:
        raise NetworkError(f"ternary layers have {sorted(counts)} active bitmaps; all have equally many")
    shapes = network.shapes
    for layer in network.layers:
        channels = shapes[layer.name][0]
        if layer.multiplier.shape != (channels,) or layer.bias.shape != (channels,):
            raise NetworkError(f"layer {layer.name}: multiplier and bias take {channels} values each")
        is_last = layer is network.layers[-1]
        if is_last != layer.logits:
            raise NetworkError(f"layer {layer.name}: exactly the last layer gives logits")
        layer.check_ranges(network)
        if INPUT in layer.unsigned_sources and any(spec.zero_point):
            raise NetworkError(f"layer {layer.name}: a pool or residual over the input needs zero points of 0")
