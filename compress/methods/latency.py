"""What a network costs on the accelerator by which of its PE groups are present, before it is ever exported.

Cycles are those of :mod:`tritforge.cost.cycle_model` for the structure that would be exported.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tritforge.compress.export.export import skeleton_network
from tritforge.compress.methods.group_sparsity import every_group
from tritforge.compress.models.model import Model
from tritforge.cost.cycle_model import predict
from tritforge.errors import RecipeError
from tritforge.network.network import Network
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters


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
            raise RecipeError(f"target_pruning.cycles needs a network for the accelerator, and {refusal}")
        self._model, self._group_channels = model, group_channels
        parameters = AcceleratorParameters(group_channels=group_channels, activation_bits=model.activation_bits)
        self.every_group = every_group(model, group_channels)
        self._parameters = fitting_parameters(self._network(self.every_group), parameters)

    def __call__(self, bitmaps: Mapping[str, NDArray[np.bool_]]) -> float:
        return float(predict(lower(self._network(bitmaps), self._parameters)).cycles_per_image)

    def _network(self, bitmaps: Mapping[str, NDArray[np.bool_]]) -> Network:
        return skeleton_network(self._model, bitmaps, self._group_channels)


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
