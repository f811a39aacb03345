"""The integer network in PyTorch: the reference model's bits, faster on large sets and on a GPU.

A kind of layer without a form of its own here is computed by the reference model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tritforge.compress.models.evaluation import batches
from tritforge.network.arithmetic import rounding_offset
from tritforge.network.kinds.average_pool import AveragePool
from tritforge.network.kinds.convolution import Convolution, active_weights, residual_stride
from tritforge.network.layer import INPUT, Layer
from tritforge.network.network import Network

FLOAT32_EXACT = 1 << 24
"""Sums of integers below this bound are exact in fp32, whatever their order."""

Maps = dict[str, Tensor]
"""Maps as int64 by name."""


class IntegerEvaluator:
    """A network prepared for batches of images on one device.

    Args:
        network: the integer network.
        device: where to compute.
        active: which active bitmap decides the groups that count.
    """

    def __init__(self, network: Network, device: str | torch.device = "cpu", active: int = 0) -> None:
        self.device = torch.device(device)
        self._layers = {
            layer.name: IN_TORCH.get(layer.kind, _Reference)(layer, network, self.device, active)
            for layer in network.layers
        }

    @torch.no_grad()
    def maps(self, images: NDArray[np.uint8] | Tensor) -> Maps:
        """Every map as int64, as :func:`tritforge.network.reference.run` gives them."""
        maps = {INPUT: torch.as_tensor(images).to(self.device, torch.int64)}
        for name, layer in self._layers.items():
            maps[name] = layer(maps)
        return maps

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Class of each image, ``(n,)``; ties go to the lowest class."""
        last = list(self._layers)[-1]
        logits = [self.maps(batch)[last][:, :, 0, 0].cpu().numpy() for batch in batches(images, self.device)]
        return np.argmax(np.concatenate(logits), axis=1)


class _Affine:
    """A layer's affine and requantisation."""

    def __init__(self, layer: Layer, network: Network, device: torch.device) -> None:
        self.multiplier = torch.from_numpy(layer.multiplier).to(device).reshape(1, -1, 1, 1)
        self.bias = torch.from_numpy(layer.bias).to(device).reshape(1, -1, 1, 1)
        self.shift, self.top = layer.shift, (1 << network.activation_bits) - 1

    def affine(self, accumulator: Tensor) -> Tensor:
        return self.multiplier * accumulator + self.bias

    def requantise(self, accumulator: Tensor, residual: Tensor | int = 0) -> Tensor:
        scaled = self.affine(accumulator) + rounding_offset(self.shift) + residual
        return (scaled >> self.shift).clamp(0, self.top)


class _Convolution(_Affine):
    def __init__(self, layer: Convolution, network: Network, device: torch.device, active: int) -> None:
        super().__init__(layer, network, device)
        self.layer = layer
        weights = active_weights(layer, network.group_channels, active)
        bits = network.input.bits if layer.input == INPUT else network.activation_bits
        bound = int(np.abs(weights).sum(axis=(1, 2, 3)).max()) * ((1 << bits) - 1)
        exact = torch.float32 if bound < FLOAT32_EXACT else torch.float64
        self.weights = torch.from_numpy(weights).to(device, exact).flatten(1)
        self.zero_point = None
        if layer.input == INPUT:
            self.zero_point = torch.tensor(network.input.zero_point, device=device).reshape(1, -1, 1, 1)

    def __call__(self, maps: Maps) -> Tensor:
        layer, source = self.layer, maps[self.layer.input]
        accumulator = self._convolve(source if self.zero_point is None else source - self.zero_point)
        if layer.logits:
            return self.affine(accumulator)
        if layer.residual is None:
            return self.requantise(accumulator)
        kept = maps[layer.residual]
        shape = (accumulator.shape[1], accumulator.shape[2], accumulator.shape[3])
        stride, zeros = residual_stride(layer, (kept.shape[1], kept.shape[2], kept.shape[3]), shape)
        shortcut = functional.pad(kept[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros, zeros))
        return self.requantise(accumulator, layer.residual_multiplier * shortcut)

    def _convolve(self, source: Tensor) -> Tensor:
        # An explicit matrix product: convolution kernels may use transforms that do not add integers exactly.
        kernel, stride = self.layer.kernel, self.layer.stride
        rows, columns = ((size - 1) // stride + 1 for size in source.shape[2:])
        patches = functional.unfold(source.to(self.weights.dtype), kernel, padding=kernel // 2, stride=stride)
        return (self.weights @ patches).to(torch.int64).reshape(len(source), -1, rows, columns)


class _AveragePool(_Affine):
    def __init__(self, layer: AveragePool, network: Network, device: torch.device, active: int) -> None:
        super().__init__(layer, network, device)
        self.input = layer.input

    def __call__(self, maps: Maps) -> Tensor:
        return self.requantise(maps[self.input].sum(dim=(2, 3), keepdim=True))


class _Reference:
    """Any layer, by the reference model."""

    def __init__(self, layer: Layer, network: Network, device: torch.device, active: int) -> None:
        self.layer, self.network, self.device, self.active = layer, network, device, active

    def __call__(self, maps: Maps) -> Tensor:
        sources = {name: maps[name].cpu().numpy() for name in self.layer.sources}
        return torch.from_numpy(self.layer.run(self.network, sources, self.active)).to(self.device)


IN_TORCH: dict[str, Callable[..., Callable[[Maps], Tensor]]] = {
    Convolution.kind: _Convolution,
    AveragePool.kind: _AveragePool,
}
"""The kinds that have a form of their own here, by the name of the network's kind."""
