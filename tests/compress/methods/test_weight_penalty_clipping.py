from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.compress.methods.group_sparsity import group_norms, grouped
from tritforge.compress.methods.weight_penalty_clipping import clipping_threshold, weight_penalty
from tritforge.network.pe_groups import group_weights


@settings(max_examples=25)
@given(st.sampled_from([1, 3]), st.integers(1, 4), st.integers(1, 5), st.sampled_from([4, 16]))
def test_groups_are_the_pe_groups_of_the_contract(kernel, outputs, blocks, group_channels):
    weights = torch.randn(outputs, blocks * group_channels, kernel, kernel)
    ours = grouped(weights, group_channels).numpy()
    theirs = group_weights(weights.numpy(), group_channels)
    assert np.array_equal(np.sort(ours, axis=2), np.sort(theirs.reshape(*theirs.shape[:2], -1), axis=2))


def two_groups(small: float, large: float) -> torch.Tensor:
    weights = torch.zeros(2, 16, 3, 3)
    weights[0, 0, 0, 0], weights[1, 0, 0, 0] = small, large
    return weights.requires_grad_()


def test_penalty_of_a_worked_example():
    # norms 1 and 3, delta = 0.8 * 2 = 1.6: the first counts in full, the second as delta.
    assert weight_penalty([two_groups(1.0, 3.0)], 0.8, 16).item() == pytest.approx(1.0 + 1.6)
    assert weight_penalty([two_groups(1.0, 3.0)], math.inf, 16).item() == pytest.approx(4.0)


def test_only_groups_below_the_threshold_are_pulled_and_the_threshold_has_no_gradient():
    weights = two_groups(1.0, 3.0)
    weight_penalty([weights], 0.8, 16).backward()
    assert weights.grad[0, 0, 0, 0].item() == pytest.approx(1.0)
    assert not weights.grad[1].any()


def test_naive_combination_pulls_every_group_with_slope_one():
    weights = two_groups(1.0, -3.0)
    weight_penalty([weights], math.inf, 16).backward()
    assert weights.grad[0, 0, 0, 0].item() == pytest.approx(1.0)
    assert weights.grad[1, 0, 0, 0].item() == pytest.approx(-1.0)


def test_a_zero_group_has_gradient_zero():
    weights = two_groups(0.0, 3.0)
    weight_penalty([weights], 5.0, 16).backward()
    assert torch.isfinite(weights.grad).all()
    assert not weights.grad[0].any()


def test_layers_are_summed_and_each_has_its_own_threshold():
    first, second = two_groups(1.0, 3.0), two_groups(10.0, 30.0)
    together = weight_penalty([first, second], 0.8, 16).item()
    assert together == pytest.approx(2.6 + 26.0)


def test_one_by_one_groups_hold_144_channels():
    norms = group_norms(torch.ones(3, 200, 1, 1), 16)
    assert norms.shape == (3, 2)
    assert norms[0].tolist() == pytest.approx([12.0, math.sqrt(56)])


def test_threshold_is_the_coefficient_times_the_mean_norm():
    norms = torch.tensor([[1.0, 3.0], [5.0, 7.0]], requires_grad=True)
    threshold = clipping_threshold(norms, 1.5)
    assert threshold.item() == 6.0
    assert not threshold.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norms_of_half_precision_weights_are_worked_out_in_fp32(dtype):
    # Squares of 300 leave fp16, and sums of 144 of them lose half of their digits in bf16.
    weights = (300 * torch.randn(8, 40, 3, 3, generator=torch.Generator().manual_seed(0))).to(dtype)
    norms = group_norms(weights, 16)
    assert norms.dtype == torch.float32
    assert torch.equal(norms, group_norms(weights.float(), 16))
    penalty = weight_penalty([weights], 0.9, 16)
    assert penalty.dtype == torch.float32
    assert torch.equal(penalty, weight_penalty([weights.float()], 0.9, 16))


def test_an_empty_layer_costs_nothing_however_it_is_clipped():
    for coefficient in (0.8, math.inf):
        assert weight_penalty([torch.zeros(2, 16, 3, 3)], coefficient, 16).item() == 0.0
