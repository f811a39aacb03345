"""Pixels as channels, before the hidden fully connected layers of a network that is only trained."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from tritforge.compress.models.kinds.node import ModelSettings, Node


@dataclass(frozen=True)
class FlattenNode(Node):
    """Every pixel of every one of ``inputs`` channels as one of ``outputs`` channels of a 1x1 map."""

    kind = "flatten"

    name: str
    input: str
    inputs: int
    outputs: int

    def why_not_integer(self) -> str | None:
        return f"layer {self.name} turns pixels into channels, which the integer network cannot"

    def module(self, settings: ModelSettings) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (self.outputs, 1, 1)))
