"""Pruning to a latency: which groups go is decided so that the accelerator takes a given number of cycles an image.

The penalty of each layer is weighted by the cycles that one of its groups costs, and its factor lambda is moved while
training so that the cycles of the present trits follow a line down to the target. Before the last part of training the
groups that are left over are cut, and stay cut while the others adapt. Cycles are those of
:mod:`tritforge.cycle_model` for the structure that would be exported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tritforge.compress.data import PIXEL_BITS
from tritforge.compress.export import integer_weights
from tritforge.compress.models import Model
from tritforge.compress.recipe import Recipe
from tritforge.compress.topology import ClassifierNode, ConvNode, PoolNode
from tritforge.compress.weight_penalty_clipping import group_norms, grouped
from tritforge.cycle_model import predict
from tritforge.errors import RecipeError
from tritforge.lowering import fitting_parameters, lower
from tritforge.network import TERNARY_BITS, AveragePool, Convolution, InputSpec, Layer, Network
from tritforge.parameters import AcceleratorParameters
from tritforge.pe_groups import channels_per_group

BEGUN, REACHED = 0.1, 0.6
"""Fractions of training at which the line of cycles leaves those of all groups and is down at the target."""
CUT = 0.8
"""Fraction of training after which groups are cut to the target; lambda is 0 from then on."""
CHECKS = 400
"""Times in a training at which lambda is moved."""
GAIN, DAMPING = 0.2, 3.0
"""Change of ln(lambda) at a check for a deviation from the line, and for the deviation's change since the check before;
both are parts of all cycles that are to be saved."""
FARTHEST = 100.0
"""Lambda stays within this factor of the recipe's: where clipping leaves no group to pull, more of it only disturbs."""

Bitmaps = dict[str, NDArray[np.bool_]]


def present_groups(model: Model, group_channels: int) -> Bitmaps:
    """By ternary layer, which groups ``(N, G)`` hold a non-zero trit."""
    layers = model.ternary_layers().items()
    return {name: grouped(layer.trits(), group_channels).any(dim=2).cpu().numpy() for name, layer in layers}


class StructureCycles:
    """Cycles per image that the accelerator takes for a model with some groups, at P = 16 and the model's widths.

    Args:
        model: a wholly quantised model, whose multi-bit weights are looked at in each call.
        group_channels: ``C_g``.

    Raises:
        RecipeError: a model with a part in floating point.
        ProgramError: the accelerator cannot run the model's topology.
    """

    def __init__(self, model: Model, group_channels: int) -> None:
        refusal = model.why_not_integer()
        if refusal is not None:
            raise RecipeError(f"latency_target needs a network for the accelerator, and {refusal}")
        self._model, self._group_channels = model, group_channels
        parameters = AcceleratorParameters(group_channels=group_channels, activation_bits=model.activation_bits)
        self.every_group: Bitmaps = {
            name: np.ones_like(bitmap) for name, bitmap in present_groups(model, group_channels).items()
        }
        self._parameters = fitting_parameters(self._network(self.every_group), parameters)

    def __call__(self, bitmaps: Mapping[str, NDArray[np.bool_]]) -> float:
        return float(predict(lower(self._network(bitmaps), self._parameters)).cycles_per_image)

    def _network(self, bitmaps: Mapping[str, NDArray[np.bool_]]) -> Network:
        """A network of this structure: cycles depend on bitmaps and bit planes alone, so trits and affine are idle."""
        topology = self._model.topology
        layers: list[Layer] = []
        for node in topology.nodes:
            if isinstance(node, ConvNode):
                layers.append(self._convolution(node, bitmaps.get(node.name)))
            elif isinstance(node, ClassifierNode):
                one = np.ones(node.outputs, dtype=np.int64)
                weights, _, bits = integer_weights(self._model.stage(node.name).linear)
                weights = weights[:, :, None, None]
                layers.append(Convolution(node.name, node.input, weights, bits, 1, one, 0 * one, 0, logits=True))
            else:
                assert isinstance(node, PoolNode)
                one = np.ones(node.inputs, dtype=np.int64)
                layers.append(AveragePool(node.name, node.input, one, 0 * one, 0))
        channels, height, width = topology.image
        zero_point = tuple(int(z) for z in self._model.zero_point.flatten())
        spec = InputSpec(channels, height, width, PIXEL_BITS, zero_point)
        return Network(spec, tuple(layers), self._model.activation_bits, self._group_channels, {})

    def _convolution(self, node: ConvNode, bitmap: NDArray[np.bool_] | None) -> Convolution:
        one = np.ones(node.outputs, dtype=np.int64)
        if bitmap is None:
            weights, _, bits = integer_weights(self._model.stage(node.name).conv)
        else:
            weights, bits = np.zeros((node.outputs, node.inputs, node.kernel, node.kernel), np.int16), TERNARY_BITS
        return Convolution(
            node.name,
            node.input,
            weights,
            bits,
            node.stride,
            one,
            0 * one,
            0,
            residual=node.residual,
            residual_multiplier=int(node.residual is not None),
            stored=bitmap,
            active=() if bitmap is None else (bitmap,),
        )


def cycles_of_a_group(cycles: StructureCycles) -> dict[str, float]:
    """By ternary layer, the mean cycles that one of its groups costs while no other is missing.

    Taken over half of a layer's groups, those of every second output channel: the last ones of a layer are often free,
    as its windows and its drain take their time too.
    """
    every = cycles.every_group
    dense = cycles(every)
    costs = {}
    for name, bitmap in every.items():
        half = bitmap.copy()
        half[1::2] = False
        costs[name] = max(0.0, dense - cycles(every | {name: half})) / int((~half).sum())
    return costs


class LatencyPruning:
    """What a run with a ``latency_target`` keeps beside its weights.

    Attributes:
        factors: by ternary layer, what its penalty is multiplied with; 1 in the mean over groups.
        penalty: lambda; see :attr:`strength`.
        cycles: predicted for the trits at the last look.
        cut_groups: non-zero groups that were cut.

    Args:
        recipe: ``latency_target`` above 0.
        model: as initialised.
        steps: of the whole training.

    Raises:
        RecipeError: a target out of reach, no penalty to begin with, or a model that is not exported.
    """

    def __init__(self, recipe: Recipe, model: Model, steps: int) -> None:
        if recipe.penalty == 0:
            raise RecipeError("latency_target needs a penalty above 0, the lambda that it begins with")
        self._model, self._group_channels = model, recipe.group_channels
        self._structure = StructureCycles(model, recipe.group_channels)
        self._target, self._steps = recipe.latency_target, steps
        every = self._structure.every_group
        self._dense = self._structure(every)
        least = self._structure({name: np.zeros_like(bitmap) for name, bitmap in every.items()})
        if not least <= self._target < self._dense:
            raise RecipeError(
                f"latency_target is {self._target:g}; this network takes from {math.ceil(least):,} cycles an image "
                f"with every group empty to {math.floor(self._dense):,} with none"
            )
        costs = dict.fromkeys(every, 1.0)
        if recipe.latency_weighting == "cycles":
            costs = cycles_of_a_group(self._structure)
        mean = sum(costs[name] * every[name].size for name in every) / sum(bitmap.size for bitmap in every.values())
        self.factors = {name: cost / mean for name, cost in costs.items()}
        self.penalty, self.cycles, self.cut_groups = recipe.penalty, self._dense, 0
        self._begun, self._deviation = recipe.penalty, 0.0
        self._kept: dict[str, Tensor] = {}

    @property
    def strength(self) -> float:
        """What the penalty counts with now: lambda, or 0 where cycles are on the line or below it.

        A group that is empty seldom returns, so that what is pulled too far stays there.
        """
        return self.penalty if self._deviation > 0 else 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "penalty": self.penalty,
            "cycles": self.cycles,
            "cut_groups": self.cut_groups,
            "deviation": self._deviation,
            "kept": dict(self._kept),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.penalty, self.cycles, self.cut_groups = (state[name] for name in ("penalty", "cycles", "cut_groups"))
        self._deviation = state["deviation"]
        self._kept = {name: kept.to(self._model.zero_point.device) for name, kept in state["kept"].items()}

    @torch.no_grad()
    def look(self) -> float:
        """Predict the cycles of the present trits."""
        self.cycles = self._structure(present_groups(self._model, self._group_channels))
        return self.cycles

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Cut groups stay cut; at some steps lambda moves, at one the cut is made."""
        if not self._kept and step >= CUT * self._steps:
            self._cut()
        for name, kept in self._kept.items():
            weight = self._model.ternary_layers()[name].weight
            per_group = channels_per_group(weight.shape[2], self._group_channels)
            weight.mul_(kept.repeat_interleave(per_group, dim=1)[:, : weight.shape[1], None, None])
        if not self._kept and step % max(1, self._steps // CHECKS) == 0:
            wanted = min(1.0, max(0.0, (step / self._steps - BEGUN) / (REACHED - BEGUN)))
            deviation = wanted - (self._dense - self.look()) / (self._dense - self._target)
            moved = self.penalty * math.exp(GAIN * deviation + DAMPING * (deviation - self._deviation))
            self.penalty = min(self._begun * FARTHEST, max(self._begun / FARTHEST, moved))
            self._deviation = deviation

    def _cut(self) -> None:
        """Keep as many groups as the target allows, the largest for what they cost; norms count within their layer."""
        present = present_groups(self._model, self._group_channels)
        scores, there = [], []
        for name, layer in self._model.ternary_layers().items():
            norms = group_norms(layer.weight, self._group_channels).cpu().double().numpy()
            scores.append((norms / max(norms.mean(), 1e-30) / max(self.factors[name], 1e-30)).ravel())
            there.append(present[name].ravel())
        # Zero groups come last: where the target leaves room for them, they may grow again.
        order = np.lexsort((-np.concatenate(scores), ~np.concatenate(there)))
        ends = np.cumsum([bitmap.size for bitmap in present.values()])[:-1]

        def keep(count: int) -> Bitmaps:
            chosen = np.zeros(len(order), dtype=np.bool_)
            chosen[order[:count]] = True
            parts = np.split(chosen, ends)
            return {name: part.reshape(present[name].shape) for name, part in zip(present, parts, strict=True)}

        fits, too_many = 0, len(order) + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self._structure(keep(middle)) <= self._target:
                fits = middle
            else:
                too_many = middle
        kept = keep(fits)
        self.cut_groups = sum(int((present[name] & ~kept[name]).sum()) for name in present)
        self._kept = {name: torch.from_numpy(bitmap).to(self._model.zero_point.device) for name, bitmap in kept.items()}
        self.penalty = 0.0
