"""Accelerator parameters: every value that is allowed, and the nearest ones that are not."""

from __future__ import annotations

from math import prod

import pytest

from tritforge.errors import ProgramError
from tritforge.overlay.parameters import DEPTHS, SMALLEST_DEPTH, AcceleratorParameters

CHOICES = {"pes": (4, 8, 16, 32), "group_channels": (8, 16), "activation_bits": (8, 16), "pass_outputs": (32, 64, 128)}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_taken_and_nothing_beside_them(name: str) -> None:
    for value in CHOICES[name]:
        assert getattr(AcceleratorParameters(**{name: value}), name) == value
    for value in {value + step for value in CHOICES[name] for step in (-1, 1)} | {0, 2 * max(CHOICES[name])}:
        with pytest.raises(ProgramError, match=f"parameter {name} is {value}; allowed are"):
            AcceleratorParameters(**{name: value})


@pytest.mark.parametrize("name", DEPTHS)
def test_depths_are_powers_of_two_between_their_ends(name: str) -> None:
    depth, allowed = SMALLEST_DEPTH, []
    while depth <= DEPTHS[name]:
        allowed.append(depth)
        depth *= 2
    assert allowed[-1] == DEPTHS[name]
    for value in allowed:
        assert AcceleratorParameters(**{name: value}).depths[name] == value
    for value in (0, SMALLEST_DEPTH // 2, SMALLEST_DEPTH + 1, 3 * SMALLEST_DEPTH, DEPTHS[name] - 1, 2 * DEPTHS[name]):
        with pytest.raises(
            ProgramError, match=f"{name} is {value}; allowed are powers of two from 16 to {DEPTHS[name]}"
        ):
            AcceleratorParameters(**{name: value})


@pytest.mark.parametrize("pes", CHOICES["pes"])
def test_a_tile_has_as_many_pixels_as_there_are_pes(pes: int) -> None:
    parameters = AcceleratorParameters(pes=pes)
    assert prod((parameters.tile_rows, parameters.tile_columns)) == pes
