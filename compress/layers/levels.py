"""A trained layer's integers and steps, as NumPy arrays for what is exported."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tritforge.network.kinds.convolution import TERNARY_BITS


def integer_weights(layer: nn.Module) -> tuple[NDArray[np.int16], NDArray[np.float64], int]:
    """A layer's integers, the value of one step in each output channel, and the width to state for a multi-bit layer.

    Ternary first and last layers are stated a bit wider than trits, whose width means grouped and with bitmaps.
    """
    levels, steps = layer.levels()  # type: ignore[operator]
    return as_int16(levels), as_float64(steps), getattr(layer, "bits", TERNARY_BITS + 1)


def as_int16(values: Tensor) -> NDArray[np.int16]:
    """A tensor of integers as int16, on the CPU."""
    return values.detach().cpu().numpy().astype(np.int16)


def as_float64(values: Tensor | None) -> NDArray[np.float64]:
    """A tensor in float64, on the CPU; None is a defect."""
    assert values is not None
    return values.detach().cpu().double().numpy()
