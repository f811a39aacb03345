"""The integer network in PyTorch: the reference model's bits, faster on large sets and on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tritforge.compress.models.evaluation import batches
from tritforge.network.arithmetic import rounding_offset
from tritforge.network.kinds.convolution import active_weights, residual_stride
from tritforge.network.network import INPUT, AveragePool, Convolution, Network

FLOAT32_EXACT = 1 << 24
"""Sums of integers below this bound are exact in fp32, whatever their order."""


class IntegerEvaluator:
    """A network prepared for batches of images on one device.

    Args:
        network: the integer network.
        device: where to compute.
        active: which active bitmap decides the groups that count.
    """

    def __init__(self, network: Network, device: str | torch.device = "cpu", active: int = 0) -> None:
        self.network = network
        self.device = torch.device(device)
        self.weights: dict[str, Tensor] = {}
        for layer in network.convolutions():
            weights = active_weights(layer, network.group_channels, active)
            bits = network.input.bits if layer.input == INPUT else network.activation_bits
            bound = int(np.abs(weights).sum(axis=(1, 2, 3)).max()) * ((1 << bits) - 1)
            kind = torch.float32 if bound < FLOAT32_EXACT else torch.float64
            self.weights[layer.name] = torch.from_numpy(weights).to(self.device, kind).flatten(1)

    @torch.no_grad()
    def maps(self, images: NDArray[np.uint8] | Tensor) -> dict[str, Tensor]:
        """Every map as int64, as :func:`tritforge.network.reference.run` gives them."""
        maps = {INPUT: torch.as_tensor(images).to(self.device, torch.int64)}
        for layer in self.network.layers:
            maps[layer.name] = self._layer(layer, maps)
        return maps

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Class of each image, ``(n,)``; ties go to the lowest class."""
        last = self.network.layers[-1].name
        logits = [self.maps(batch)[last][:, :, 0, 0].cpu().numpy() for batch in batches(images, self.device)]
        return np.argmax(np.concatenate(logits), axis=1)

    def _layer(self, layer: Convolution | AveragePool, maps: dict[str, Tensor]) -> Tensor:
        source = maps[layer.input]
        if isinstance(layer, AveragePool):
            return self._requantise(layer, source.sum(dim=(2, 3), keepdim=True), None)
        if layer.input == INPUT:
            source = source - torch.tensor(self.network.input.zero_point, device=self.device).reshape(1, -1, 1, 1)
        accumulator = self._convolve(layer, source)
        if layer.logits:
            return self._affine(layer, accumulator)
        if layer.residual is None:
            return self._requantise(layer, accumulator, None)
        kept = maps[layer.residual]
        shape = (accumulator.shape[1], accumulator.shape[2], accumulator.shape[3])
        stride, zeros = residual_stride(layer, (kept.shape[1], kept.shape[2], kept.shape[3]), shape)
        shortcut = functional.pad(kept[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros, zeros))
        return self._requantise(layer, accumulator, layer.residual_multiplier * shortcut)

    def _convolve(self, layer: Convolution, source: Tensor) -> Tensor:
        # An explicit matrix product: convolution kernels may use transforms that do not add integers exactly.
        weights = self.weights[layer.name]
        kernel = layer.kernel
        rows, columns = ((size - 1) // layer.stride + 1 for size in source.shape[2:])
        patches = functional.unfold(source.to(weights.dtype), kernel, padding=kernel // 2, stride=layer.stride)
        return (weights @ patches).to(torch.int64).reshape(len(source), -1, rows, columns)

    def _affine(self, layer: Convolution | AveragePool, accumulator: Tensor) -> Tensor:
        multiplier = torch.from_numpy(layer.multiplier).to(self.device).reshape(1, -1, 1, 1)
        return multiplier * accumulator + torch.from_numpy(layer.bias).to(self.device).reshape(1, -1, 1, 1)

    def _requantise(self, layer: Convolution | AveragePool, accumulator: Tensor, residual: Tensor | None) -> Tensor:
        scaled = self._affine(layer, accumulator) + rounding_offset(layer.shift)
        if residual is not None:
            scaled = scaled + residual
        return (scaled >> layer.shift).clamp(0, (1 << self.network.activation_bits) - 1)
