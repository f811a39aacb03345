from __future__ import annotations

import pytest
import torch

from tritforge.compress.methods.group_sparsity import kept_weights, present_groups, prune_groups, zero_fraction
from tritforge.compress.models.catalogue import build_topology
from tritforge.compress.models.model import Model

LAYER = "stage1.block1.conv1"


def model_of(precision: str) -> Model:
    torch.manual_seed(0)
    return Model(build_topology("residual3", (1, 8, 8), 10, (16, 32), group_channels=16), (0,), precision)


def test_a_full_precision_group_is_kept_whole_or_not_at_all():
    model = model_of("float")
    weight = model.ternary_layers()[LAYER].weight
    with torch.no_grad():
        weight.zero_()
        weight[0, 0] = 1.0
        weight[0, 1, 0, 0] = 0.001  # beside a large one: counts
        weight[1, 0, 0, 0] = 0.05  # not above the threshold: its group does not
        weight[2, 0, 0, 0] = 0.051
    kept = kept_weights(model, 16)[LAYER]
    assert kept.sum(dim=2)[:4, 0].tolist() == [10, 0, 1, 0]
    assert present_groups(model, 16)[LAYER][:, 0].tolist() == [True, False, True] + [False] * 13


def test_a_ternary_weight_counts_for_itself():
    model = model_of("ternary")
    weight = model.ternary_layers()[LAYER].weight
    with torch.no_grad():
        weight.zero_()
        weight[0, 0, 0, 0], weight[0, 1, 0, 0], weight[1, 0, 0, 0] = 1.0, 0.001, -0.051
    assert kept_weights(model, 16)[LAYER].sum(dim=2)[:3, 0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("group_channels", [12, 16])
def test_pruning_takes_what_does_not_count_and_nothing_else(group_channels):
    model = model_of("float")
    layers = model.ternary_layers()
    with torch.no_grad():
        for layer in layers.values():
            layer.weight[::2, :group_channels] *= 1e-3
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    fraction = zero_fraction(model, group_channels)
    prune_groups(model, group_channels)
    assert 0.2 < fraction == zero_fraction(model, group_channels)
    for name, layer in layers.items():
        small = torch.zeros_like(layer.weight, dtype=torch.bool)
        small[::2, :group_channels] = True
        assert not layer.weight[small].any()
        assert torch.equal(layer.weight[~small], before[name][~small])
