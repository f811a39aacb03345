"""Lowering: an integer network to the overlay program of one accelerator parameter set.

Feature maps get their place in the banks, every layer its descriptor, affine entries, bitmap words and group slots;
what does not fit is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tritforge.errors import CapacityError
from tritforge.network.arithmetic import BIAS_BITS, SUM_BITS
from tritforge.network.digest import network_digest
from tritforge.network.kinds.convolution import residual_stride, uncentred_bias
from tritforge.network.network import INPUT, AveragePool, Convolution, Layer, Network
from tritforge.overlay.descriptor import AVERAGE_POOL, CONVOLUTION, HEADER, LAYER, pack
from tritforge.overlay.group_images import QUAD, group_images
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


def _check_supported(network: Network, parameters: AcceleratorParameters) -> None:
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
    previous: Layer | None = None
    for layer in network.layers:
        if isinstance(layer, AveragePool):
            if previous is None or layer.input != previous.name or isinstance(previous, AveragePool):
                raise CapacityError(f"layer {layer.name}: an average pool reads the convolution just before it")
        elif layer.outputs % channels and not layer.logits:
            raise CapacityError(
                f"layer {layer.name}: {layer.outputs} output channels cannot be grouped; multiples of {channels} can"
            )
        elif layer.residual == INPUT and spec.channels <= QUAD:
            raise CapacityError(f"layer {layer.name}: an image of up to 4 channels cannot be a residual")
        elif layer.logits and layer.outputs > parameters.pass_outputs:
            raise CapacityError(
                f"layer {layer.name}: {layer.outputs} classes; the accelerator gives up to {parameters.pass_outputs}"
            )
        _check_sums(network, layer, parameters)
        previous = layer


def _check_sums(network: Network, layer: Layer, parameters: AcceleratorParameters) -> None:
    """Refuse a layer whose sums could leave the accumulators, or its results the requantisers, for any input."""
    bits = network.input.bits if layer.input == INPUT else network.activation_bits
    top = (1 << bits) - 1
    bias, residual = layer.bias, 0
    if isinstance(layer, AveragePool):
        _, height, width = network.shapes[layer.input]
        highest = np.full(len(layer.multiplier), top * height * width)
        lowest = np.zeros_like(highest)
    else:
        weights = layer.weights.astype(np.int64)
        highest = top * np.maximum(weights, 0).sum(axis=(1, 2, 3))
        lowest = top * np.minimum(weights, 0).sum(axis=(1, 2, 3))
        bias = uncentred_bias(layer, network.input)
        if layer.residual is not None:
            largest = network.input.bits if layer.residual == INPUT else network.activation_bits
            residual = layer.residual_multiplier * ((1 << largest) - 1)
    _check_range(layer, "sums", lowest, highest, parameters.accumulator_bits, "accumulators")
    ends = np.stack([layer.multiplier.astype(object) * highest, layer.multiplier.astype(object) * lowest])
    results = ends.min(axis=0) + bias, ends.max(axis=0) + bias + residual + ((1 << layer.shift) >> 1)
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
    _check_supported(network, parameters)
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
    for layer in network.layers:
        fields = _affine_fields(network, layer, parameters, images)
        if isinstance(layer, AveragePool):
            fields |= _pool_fields(network, layer, parameters, images)
        else:
            fields |= _convolution_fields(network, layer, parameters, bases)
            fields |= {"bitmap_base": len(images.bitmaps), "slot_base": len(images.slots)}
            groups = group_images(layer, parameters, active, every_group)
            images.bitmaps += groups.bitmaps
            images.slots += groups.slots
            fields |= groups.fields
        images.layers[layer.name] = fields | _output_fields(network, layer, parameters, bases)
    return images


def _needs(network: Network, images: _Images) -> dict[str, int]:
    """Words that the network takes of each memory, by parameter name."""
    pooled = (network.shapes[layer.input][0] for layer in network.layers if isinstance(layer, AveragePool))
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
        for source in (layer.input, getattr(layer, "residual", None)):
            if source is not None:
                last_reader[source] = index
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
        "logits": int(isinstance(layer, Convolution) and layer.logits),
        "pool_outputs": int(bool(following) and isinstance(following[0], AveragePool)),
    }


def _pool_fields(
    network: Network, layer: AveragePool, parameters: AcceleratorParameters, images: _Images
) -> dict[str, int]:
    """A pool drains the sums its input left behind: one tile whose passes have no active group."""
    words = map_layout(parameters, network.shapes[layer.name]).blocks
    base = len(images.bitmaps)
    images.bitmaps += [0] * words
    return {"kind": AVERAGE_POOL.code, "groups": 1, "planes": 1, "bitmap_base": base, "slot_base": len(images.slots)}


def _convolution_fields(
    network: Network, layer: Convolution, parameters: AcceleratorParameters, bases: dict[str, int]
) -> dict[str, int]:
    source = network.shapes[layer.input]
    layout = map_layout(parameters, source)
    zero = network.input.zero_point if layer.input == INPUT else (0,) * QUAD
    pads = [zero[lane] if lane < len(zero) else 0 for lane in range(QUAD)]
    fields = {
        "kind": CONVOLUTION.code,
        "input_is_image": int(layer.input == INPUT),
        "pointwise": int(layer.kernel == 1),
        "stride_2": int(layer.stride == 2),
        "input_base": bases[layer.input],
        "input_row_stride": layout.row_stride,
        "input_blocks": layout.blocks,
        "input_height": source[1],
        "input_width": source[2],
    } | {f"pad_{lane}": pad for lane, pad in enumerate(pads)}
    if layer.residual is not None:
        shape = network.shapes[layer.residual]
        stride, zeros = residual_stride(layer, shape, network.shapes[layer.name])
        half = parameters.group_channels // 2
        if zeros % half:
            raise CapacityError(
                f"layer {layer.name}: {zeros} zero channels on each side of its residual; multiples of {half} fit"
            )
        residual = map_layout(parameters, shape)
        fields |= {
            "residual": 1,
            "residual_is_image": int(layer.residual == INPUT),
            "residual_multiplier": layer.residual_multiplier,
            "residual_stride_2": int(stride == 2),
            "residual_half": int(zeros % parameters.group_channels != 0),
            "residual_offset": zeros // parameters.group_channels,
            "residual_base": bases[layer.residual],
            "residual_row_stride": residual.row_stride,
            "residual_blocks": residual.blocks,
        }
    return fields


def _affine_fields(
    network: Network, layer: Layer, parameters: AcceleratorParameters, images: _Images
) -> dict[str, int]:
    """Append a layer's affine entries, with the input's zero points folded into ``B``, for whole channel blocks."""
    base = len(images.affine) // 2
    bias = uncentred_bias(layer, network.input) if isinstance(layer, Convolution) else layer.bias
    for multiplier, value in zip(layer.multiplier.tolist(), bias.tolist(), strict=True):
        entry = (multiplier & 0xFFFF) << BIAS_BITS | (value & ((1 << BIAS_BITS) - 1))
        images.affine += [entry & 0xFFFFFFFF, entry >> 32]
    images.affine += [0, 0] * (-len(bias) % parameters.group_channels)
    return {"affine_base": base}


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
