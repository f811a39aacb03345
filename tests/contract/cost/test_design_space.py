"""The design space: every set once, memories that just fit, and a front that nothing beats."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritforge.cost.cycle_model import predict
from tritforge.cost.design_space import memory_bits, model, name_of, parameter_sets, pareto
from tritforge.cost.energy_model import energy
from tritforge.errors import CapacityError
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.samples.random_network import random_network
from tritforge.samples.resnet_network import resnet_network


def test_every_combination_once() -> None:
    sets = list(parameter_sets((4, 32), (8, 16), (8,), (32, 128)))
    assert len(sets) == len({name_of(parameters) for parameters in sets}) == 8
    assert name_of(sets[0]) == "P4-C8-A8-N32" and {s.staging for s in sets} == {AcceleratorParameters().staging}


@pytest.mark.parametrize("group_channels", [8, 16])
def test_a_row_says_what_its_accelerator_does(group_channels: int) -> None:
    network = random_network(np.random.default_rng(3), max_size=6, max_channels=32, group_channels=group_channels)
    row = model(network, AcceleratorParameters(pes=8, group_channels=group_channels, slots=8192))
    parameters = AcceleratorParameters(**{name: row[name] for name in asdict(AcceleratorParameters())})
    program = lower(network, parameters)
    prediction = predict(program)
    assert row["cycles_per_image"] == prediction.cycles_per_image and row["lanes"] == 8 * 9 * group_channels
    assert row["images_per_s_at_100_mhz"] * row["cycles_per_image"] == pytest.approx(1e8)
    assert row["energy_model_nj"] == pytest.approx(energy(program).total, abs=0.06)
    for memory in ("slots", "bitmap_words", "affine_channels", "feature_words"):
        if row[memory] > 16:
            with pytest.raises(CapacityError):
                lower(network, replace(parameters, **{memory: row[memory] // 2}))


def test_memory_bits_by_hand() -> None:
    parameters = AcceleratorParameters(pes=4, slots=16, bitmap_words=32, affine_channels=64, descriptors=16)
    words = 16 * 18 * 16 + 32 * 32 + 64 * 64 + 16 * 1024 + 1024 * 4 * 128 + 4 * 2 * 64 * 25
    assert memory_bits(replace(parameters, feature_words=1024)) == words


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([8, 16])), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int, int]]) -> None:
    rows = [{"a": a, "b": b, "activation_bits": bits} for a, b, bits in points]
    front = pareto(rows, ("a", "b"))
    chosen = {points[index] for index in front}
    assert front and len(chosen) == len(front)
    for point in points:
        beaten = any(a <= point[0] and b <= point[1] and c >= point[2] and (a, b, c) != point for a, b, c in points)
        assert (point in chosen) == (not beaten)


def test_of_equal_rows_the_front_keeps_the_first() -> None:
    rows = [{"activation_bits": bits, "cost": cost} for bits, cost in ((8, 3), (8, 2), (16, 2), (8, 2), (16, 2))]
    assert pareto(rows, ["cost"]) == [2]
    assert pareto(rows[:2] + rows[3:4], ["cost"]) == [1]


@pytest.mark.parametrize("group_channels", [8, 16])
def test_resnets_have_exactly_the_asked_zero_groups_whatever_a_group_is(group_channels: int) -> None:
    network = resnet_network(20, 0.5, group_channels=group_channels)
    assert network.group_channels == group_channels
    for layer in network.ternary_layers():
        assert layer.stored is not None and 2 * layer.stored.sum() == layer.stored.size
        assert layer.stored.size == layer.outputs * layer.inputs // group_channels
