"""Convolutions: windows of the input map, groups that are issued on them, a residual in the drain."""

from __future__ import annotations

import numpy as np

from tritforge.errors import CapacityError
from tritforge.network.kinds.convolution import Convolution, residual_stride, uncentred_bias
from tritforge.network.layer import INPUT, Layer
from tritforge.network.network import Network
from tritforge.overlay.descriptor import CONVOLUTION
from tritforge.overlay.group_images import QUAD, group_images
from tritforge.overlay.kinds.kind import LoweredLayer, OverlayKind, Site, Sums
from tritforge.overlay.map_layout import map_layout
from tritforge.overlay.parameters import AcceleratorParameters


class ConvolutionKind(OverlayKind[Convolution]):
    """Groups of trits; multi-bit weights as bit planes of them."""

    def check(
        self, layer: Convolution, previous: Layer | None, network: Network, parameters: AcceleratorParameters
    ) -> None:
        channels = parameters.group_channels
        if layer.outputs % channels and not layer.logits:
            raise CapacityError(
                f"layer {layer.name}: {layer.outputs} output channels cannot be grouped; multiples of {channels} can"
            )
        if layer.residual == INPUT and network.input.channels <= QUAD:
            raise CapacityError(f"layer {layer.name}: an image of up to 4 channels cannot be a residual")
        if layer.logits and layer.outputs > parameters.pass_outputs:
            raise CapacityError(
                f"layer {layer.name}: {layer.outputs} classes; the accelerator gives up to {parameters.pass_outputs}"
            )

    def sums(self, layer: Convolution, network: Network) -> Sums:
        weights = layer.weights.astype(np.int64)
        top = _top(network, layer.input)
        return Sums(
            lowest=top * np.minimum(weights, 0).sum(axis=(1, 2, 3)),
            highest=top * np.maximum(weights, 0).sum(axis=(1, 2, 3)),
            bias=uncentred_bias(layer, network.input),
            residual=0 if layer.residual is None else layer.residual_multiplier * _top(network, layer.residual),
        )

    def lower(self, layer: Convolution, site: Site) -> LoweredLayer:
        network, parameters = site.network, site.parameters
        source = network.shapes[layer.input]
        layout = map_layout(parameters, source)
        zero = network.input.zero_point if layer.input == INPUT else (0,) * QUAD
        pads = [zero[lane] if lane < len(zero) else 0 for lane in range(QUAD)]
        fields = {
            "kind": CONVOLUTION.code,
            "input_is_image": int(layer.input == INPUT),
            "pointwise": int(layer.kernel == 1),
            "stride_2": int(layer.stride == 2),
            "input_base": site.bases[layer.input],
            "input_row_stride": layout.row_stride,
            "input_blocks": layout.blocks,
            "input_height": source[1],
            "input_width": source[2],
        } | {f"pad_{lane}": pad for lane, pad in enumerate(pads)}
        if layer.residual is not None:
            fields |= _residual_fields(layer, layer.residual, site)
        groups = group_images(layer, parameters, site.active, site.every_group)
        return LoweredLayer(fields | groups.fields, groups.bitmaps, groups.slots)


def _top(network: Network, source: str) -> int:
    """The largest value in a map."""
    return (1 << (network.input.bits if source == INPUT else network.activation_bits)) - 1


def _residual_fields(layer: Convolution, residual: str, site: Site) -> dict[str, int]:
    shape = site.network.shapes[residual]
    stride, zeros = residual_stride(layer, shape, site.network.shapes[layer.name])
    channels = site.parameters.group_channels
    if zeros % (channels // 2):
        raise CapacityError(
            f"layer {layer.name}: {zeros} zero channels on each side of its residual; multiples of {channels // 2} fit"
        )
    layout = map_layout(site.parameters, shape)
    return {
        "residual": 1,
        "residual_is_image": int(residual == INPUT),
        "residual_multiplier": layer.residual_multiplier,
        "residual_stride_2": int(stride == 2),
        "residual_half": int(zeros % channels != 0),
        "residual_offset": zeros // channels,
        "residual_base": site.bases[residual],
        "residual_row_stride": layout.row_stride,
        "residual_blocks": layout.blocks,
    }
