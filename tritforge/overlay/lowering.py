"""Lowering: an integer network to the overlay program of one accelerator parameter set.

Feature maps get their place in the banks, every layer its descriptor, affine entries, bitmap words and group slots, as
its kind (:mod:`tritforge.overlay.kinds`) has them; what does not fit is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import CapacityError
from tritforge.network.arithmetic import BIAS_BITS, SUM_BITS
from tritforge.network.digest import network_digest
from tritforge.network.layer import INPUT, Layer
from tritforge.network.network import Network
from tritforge.overlay.descriptor import HEADER, LAYER, pack
from tritforge.overlay.group_images import QUAD
from tritforge.overlay.kinds.kind import Site, Sums
from tritforge.overlay.kinds.table import overlay_kind
from tritforge.overlay.map_layout import MapAllocator, map_layout
from tritforge.overlay.parameters import DEPTHS, SMALLEST_DEPTH, AcceleratorParameters
from tritforge.overlay.program import OverlayProgram


@dataclass
class _Images:
    """Memory images while they grow; layers hold the fields of their descriptors, by name."""

    header: dict[str, int]
    layers: dict[str, dict[str, int]]
    bases: dict[str, int]
    feature_words: int
    bitmaps: list[int]
    affine: list[int]
    slots: list[NDArray[np.uint64]]


def lower(
    network: Network, parameters: AcceleratorParameters, active: int = 0, every_group: bool = False
) -> OverlayProgram:
    """Lower a network.

    Args:
        network: the integer network.
        parameters: the accelerator.
        active: which active bitmap runs.
        every_group: store and issue every group, zero ones too: the same array without skipping, for comparison.

    Raises:
        CapacityError: the network does not fit; the message names every memory that is too small with need and limit,
            and the depths that would fit, or the layer and what it may not have.
    """
    images = _images(network, parameters, active, every_group)
    _check_depths(_needs(network, images), parameters)
    frames = [pack(HEADER, images.header, "program header")]
    frames += [pack(LAYER, fields, f"layer {name}") for name, fields in images.layers.items()]
    return OverlayProgram(
        parameters=parameters,
        network_digest=network_digest(network),
        images={
            "descriptors": np.concatenate(frames),
            "bitmaps": np.array(images.bitmaps, dtype=np.uint64),
            "affine": np.array(images.affine, dtype=np.uint64),
            "weights": np.concatenate(images.slots) if images.slots else np.zeros(0, dtype=np.uint64),
        },
        layer_names=tuple(images.layers),
        input_shape=network.shapes[INPUT],
        classes=network.classes,
        map_addresses=images.bases,
    )


def fitting_parameters(
    network: Network, parameters: AcceleratorParameters, every_group: bool = True
) -> AcceleratorParameters:
    """The parameters with every memory that is too small grown to the smallest depth that holds the network.

    Args:
        every_group: hold its zero groups too.

    Raises:
        CapacityError: a layer that no memory can help, or a need beyond what an accelerator can have.
    """
    depths = smallest_depths(network, parameters, every_group)
    return replace(parameters, **{name: max(depth, getattr(parameters, name)) for name, depth in depths.items()})


def smallest_depths(network: Network, parameters: AcceleratorParameters, every_group: bool = False) -> dict[str, int]:
    """Smallest allowed depth of each memory, by parameter name, at which :func:`lower` takes the network.

    Raises:
        CapacityError: as for :func:`fitting_parameters`.
    """
    return _depths_for(_needs(network, _images(network, parameters, 0, every_group)))


def _checked_sums(network: Network, parameters: AcceleratorParameters) -> dict[str, Sums]:
    """Bounds of every layer's arithmetic, by name; refuses what the accelerator cannot run, however deep it is."""
    channels = parameters.group_channels
    if network.group_channels != channels:
        raise CapacityError(
            f"the network is grouped by {network.group_channels} channels, the accelerator's PE takes {channels}"
        )
    if network.activation_bits != parameters.activation_bits:
        raise CapacityError(
            f"the network has {network.activation_bits}-bit activations, the accelerator {parameters.activation_bits}"
        )
    spec = network.input
    if spec.channels > QUAD and spec.channels % channels:
        raise CapacityError(
            f"the input has {spec.channels} channels; the PE groups up to {QUAD} channels or multiples of {channels}"
        )
    if spec.channels > QUAD and any(z != spec.zero_point[i % QUAD] for i, z in enumerate(spec.zero_point)):
        raise CapacityError("an input of more than 4 channels needs zero points that repeat every 4 channels")
    bounds = {}
    previous: Layer | None = None
    for layer in network.layers:
        kind = overlay_kind(layer)
        kind.check(layer, previous, network, parameters)
        bounds[layer.name] = kind.sums(layer, network)
        _check_sums(layer, bounds[layer.name], parameters)
        previous = layer
    return bounds


def _check_sums(layer: Layer, sums: Sums, parameters: AcceleratorParameters) -> None:
    """Refuse a layer whose sums could leave the accumulators, or its results the requantisers, for any input."""
    _check_range(layer, "sums", sums.lowest, sums.highest, parameters.accumulator_bits, "accumulators")
    multiplier = layer.multiplier.astype(object)
    ends = np.stack([multiplier * sums.highest, multiplier * sums.lowest])
    half = (1 << layer.shift) >> 1
    results = ends.min(axis=0) + sums.bias, ends.max(axis=0) + sums.bias + sums.residual + half
    _check_range(layer, "M * acc + B + R * res", *results, SUM_BITS, "requantisers")


def _check_range(layer: Layer, what: str, lowest: NDArray, highest: NDArray, bits: int, where: str) -> None:
    limit = 1 << (bits - 1)
    for bound in (int(highest.max()), int(lowest.min())):
        if not -limit <= bound < limit:
            raise CapacityError(
                f"layer {layer.name}: {what} can reach {bound}; the accelerator's {bits}-bit {where} hold "
                f"{-limit} to {limit - 1}"
            )


def _images(network: Network, parameters: AcceleratorParameters, active: int, every_group: bool) -> _Images:
    """What the memories would hold, however deep they are."""
    sums = _checked_sums(network, parameters)
    bases, feature_words = _allocate_maps(network, parameters)
    spec = network.input
    layout = map_layout(parameters, network.shapes[INPUT])
    header = {
        "layers": len(network.layers),
        "quad_input": int(spec.channels <= QUAD),
        "input_blocks": layout.blocks,
        "input_height": spec.height,
        "input_width": spec.width,
        "input_row_stride": layout.row_stride,
        "input_base_0": bases[INPUT],
        "input_base_1": bases[INPUT] + layout.words,
    }
    images = _Images(header, {}, bases, feature_words, [], [], [])
    site = Site(network, parameters, bases, active, every_group)
    for layer in network.layers:
        lowered = overlay_kind(layer).lower(layer, site)
        places = {
            "affine_base": len(images.affine) // 2,
            "bitmap_base": len(images.bitmaps),
            "slot_base": len(images.slots),
        }
        images.affine += _affine_words(layer, sums[layer.name].bias, parameters)
        images.bitmaps += lowered.bitmaps
        images.slots += lowered.slots
        images.layers[layer.name] = lowered.fields | places | _output_fields(network, layer, parameters, bases)
    return images


def _needs(network: Network, images: _Images) -> dict[str, int]:
    """Words that the network takes of each memory, by parameter name."""
    pooled = (network.shapes[layer.input][0] for layer in network.layers if overlay_kind(layer).takes_sums)
    return {
        "slots": len(images.slots),
        "bitmap_words": len(images.bitmaps),
        "affine_channels": len(images.affine) // 2,
        "descriptors": 1 + len(images.layers),
        "feature_words": images.feature_words,
        "pool_channels": max(pooled, default=0),
    }


def _allocate_maps(network: Network, parameters: AcceleratorParameters) -> tuple[dict[str, int], int]:
    """First bank word of every map, by name, and bank words in all."""
    last_reader: dict[str, int] = {}
    for index, layer in enumerate(network.layers):
        last_reader |= dict.fromkeys(layer.sources, index)
    allocator = MapAllocator()
    bases = {INPUT: allocator.allocate(2 * map_layout(parameters, network.shapes[INPUT]).words)}
    for index, layer in enumerate(network.layers):
        if layer is not network.layers[-1]:
            bases[layer.name] = allocator.allocate(map_layout(parameters, network.shapes[layer.name]).words)
        for name, reader in last_reader.items():
            if reader == index and name != INPUT:
                allocator.free(bases[name])
    return bases, allocator.high_water


def _output_fields(
    network: Network, layer: Layer, parameters: AcceleratorParameters, bases: dict[str, int]
) -> dict[str, int]:
    channels, height, width = network.shapes[layer.name]
    layout = map_layout(parameters, (channels, height, width))
    words = parameters.pass_outputs // parameters.group_channels
    passes = -(-layout.blocks // words)
    following = network.layers[network.layers.index(layer) + 1 :]
    return {
        "shift": layer.shift,
        "outputs": channels,
        "output_blocks": layout.blocks,
        "passes": passes,
        "last_words": layout.blocks - (passes - 1) * words,
        "buffer_log2": (min(layout.blocks, words) - 1).bit_length(),
        "output_base": bases.get(layer.name, 0),
        "output_row_stride": layout.row_stride,
        "output_height": height,
        "output_width": width,
        "tiles_y": -(-height // parameters.tile_rows),
        "tiles_x": -(-width // parameters.tile_columns),
        "logits": int(layer.logits),
        "pool_outputs": int(bool(following) and overlay_kind(following[0]).takes_sums),
    }


def _affine_words(layer: Layer, bias: NDArray[np.int64], parameters: AcceleratorParameters) -> list[int]:
    """A layer's affine entries, with the input's zero points folded into ``bias``, for whole channel blocks."""
    words: list[int] = []
    for multiplier, value in zip(layer.multiplier.tolist(), bias.tolist(), strict=True):
        entry = (multiplier & 0xFFFF) << BIAS_BITS | (value & ((1 << BIAS_BITS) - 1))
        words += [entry & 0xFFFFFFFF, entry >> 32]
    return words + [0, 0] * (-len(bias) % parameters.group_channels)


def _check_depths(needs: Mapping[str, int], parameters: AcceleratorParameters) -> None:
    depths = {memory: getattr(parameters, memory) for memory in needs}
    small = {memory: need for memory, need in needs.items() if need > depths[memory]}
    if not small:
        return
    advice = " ".join(f"--memory {memory}={depth}" for memory, depth in _depths_for(small).items())
    raise CapacityError(f"the network needs {_told(small, depths, 'the accelerator has')}; {advice} would fit", small)


def _depths_for(needs: Mapping[str, int]) -> dict[str, int]:
    """The smallest depth for each need."""
    depths = {memory: max(SMALLEST_DEPTH, 1 << (need - 1).bit_length()) for memory, need in needs.items()}
    beyond = {memory: needs[memory] for memory, depth in depths.items() if depth > DEPTHS[memory]}
    if beyond:
        raise CapacityError(
            f"the network needs {_told(beyond, DEPTHS, 'an accelerator has at most')}; nothing fits", beyond
        )
    return depths


def _told(needs: Mapping[str, int], limits: Mapping[str, int], has: str) -> str:
    """``3000 slots (the accelerator has 2048) and 40 bitmap words (the accelerator has 16)``."""
    parts = [f"{need} {memory.replace('_', ' ')} ({has} {limits[memory]})" for memory, need in needs.items()]
    return ", ".join(parts[:-1]) + " and " * (len(parts) > 1) + parts[-1]
