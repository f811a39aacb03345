"""What a training is, apart from its seed and its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

FLOAT_BITS = 32
"""Width of activations that are not quantised."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a training is, apart from its seed and its data; None for what it does not have.

    Attributes:
        method: ``full precision``, ``ternary``, ``pruning``, ``naive`` or ``clipped``.
        model: the topology.
        epochs: of the training.
        schedule: of the learning rate.
        activations: their bits, :data:`FLOAT_BITS` for floating point.
        end_layers: weights of the first and last layer: ``float``, ``ternary``, or ``integer`` with its bits.
        group_channels: channels of a PE group.
        penalty: λ.
        clipping: *a*; None where nothing is clipped.
        latency_target: cycles an image that the network is pruned to.
        latency_weighting: of the layers in that: ``cycles`` or ``uniform``.
        zero_group_target: part of zero groups that the network is pruned to.
        teacher: name of the run that is learnt from.
        distillation: part of the loss that comes from the teacher.
        temperature: of the logits compared.
        feature_matching: weight of the maps' difference.
        further: what methods without a field here tell of their settings, by name.
    """

    method: str
    model: str
    epochs: int
    schedule: str
    activations: int
    end_layers: str
    group_channels: int
    penalty: float
    clipping: float | None
    latency_target: float | None = None
    latency_weighting: str | None = None
    zero_group_target: float | None = None
    teacher: str | None = None
    distillation: float | None = None
    temperature: float | None = None
    feature_matching: float | None = None
    further: Mapping[str, float] | None = None


SETTING_FIELDS = frozenset(entry.name for entry in fields(Setting))
