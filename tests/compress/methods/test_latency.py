from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_samples import small_digits
from hypothesis import given, settings
from hypothesis import strategies as st
from pruning_samples import LATENCY, empty_groups, exported_cycles, model_of

from tritforge.compress.methods.group_sparsity import present_groups
from tritforge.compress.methods.latency import StructureCycles, cycles_of_a_group
from tritforge.compress.models.evaluation import settle_statistics


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.floats(0, 1), st.sampled_from(["integer", "ternary"]))
def test_cycles_of_a_structure_are_those_of_the_exported_network(seed, part, ends):
    model = model_of(replace(LATENCY, end_layers=ends), seed=seed)
    empty_groups(model, seed, part)
    images = small_digits(64).train.images
    model(torch.from_numpy(images))  # for the activation scales
    settle_statistics(model, images)
    cycles = StructureCycles(model, 16)
    assert cycles(present_groups(model, 16)) == exported_cycles(model)


def test_a_group_costs_its_tiles_where_issue_bounds_the_array():
    """ResNet-20 at P = 16 issues a group in 64, 16 and 4 tiles of maps of 32, 16 and 8 pixels."""
    model = model_of(replace(LATENCY, topology="resnet20", widths=(16, 32, 64)), (3, 32, 32))
    costs = cycles_of_a_group(StructureCycles(model, 16))
    for stage, tiles in (("stage1.block2", 64), ("stage2.block2", 16), ("stage3.block2", 4)):
        for name in (f"{stage}.conv1", f"{stage}.conv2"):
            assert costs[name] == pytest.approx(tiles, rel=0.15)


def test_a_group_never_saves_less_than_nothing():
    """Fewer groups may happen to take longer, where another unit comes to wait; that is no price to pay."""

    class Waiting:
        def __init__(self):
            self.every_group = {"first": np.ones((4, 2), np.bool_), "second": np.ones((3, 1), np.bool_)}

        def __call__(self, bitmaps):
            return 100.0 + 6 * (not bitmaps["first"].all()) - 2 * (not bitmaps["second"].all())

    assert cycles_of_a_group(Waiting()) == {"first": 0.0, "second": 2.0}
