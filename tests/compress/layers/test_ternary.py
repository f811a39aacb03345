from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tritforge.compress.layers.ternary import TernaryConv2d, TernaryScale, ternarise, ternary_scale, to_trits


def test_threshold_and_scale_of_a_worked_example():
    weights = torch.tensor([1.0, -0.5, 0.05, -0.04, 0.06, 0.0])
    threshold, scale = ternary_scale(weights)
    assert threshold.item() == pytest.approx(0.05)
    # 0.05 is not above the threshold; the mean is over 1, 0.5 and 0.06.
    assert scale.item() == pytest.approx((1.0 + 0.5 + 0.06) / 3)
    assert to_trits(weights, threshold).tolist() == [1, -1, 0, 0, 1, 0]


def test_an_empty_layer_has_scale_zero_and_no_nan():
    weights = torch.zeros(4, 16, 3, 3, requires_grad=True)
    quantised = ternarise(weights)
    assert ternary_scale(weights).scale.item() == 0.0
    assert torch.equal(quantised, torch.zeros_like(weights))


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=50))
def test_every_weight_becomes_a_trit_times_the_scale_and_negation_flips_trits_alone(values):
    weights = torch.tensor(values)
    threshold, scale = ternary_scale(weights)
    trits = to_trits(weights, threshold)
    assert set(trits.tolist()) <= {-1.0, 0.0, 1.0}
    assert torch.equal(ternarise(weights), trits * scale)
    assert torch.equal(ternarise(-weights), -ternarise(weights))


def test_gradient_is_one_everywhere_also_in_the_dead_zone_and_through_no_statistic():
    weights = torch.tensor([2.0, 0.01, -0.3, 0.0], requires_grad=True)
    incoming = torch.tensor([0.5, -1.5, 3.0, 7.0])
    ternarise(weights).backward(incoming)
    assert torch.equal(weights.grad, incoming)


def test_frozen_values_replace_the_ones_that_follow_from_the_weights():
    layer = TernaryConv2d(16, 16, 3)
    layer.frozen = TernaryScale(torch.tensor(0.2), torch.tensor(3.0))
    with torch.no_grad():
        layer.weight.fill_(0.1)
        layer.weight[0] = 0.3
    assert torch.equal(layer.trits()[0], torch.ones(16, 3, 3))
    assert not layer.trits()[1:].any()
    assert ternarise(layer.weight, layer.frozen).max().item() == 3.0


def test_quantiser_stays_in_fp32_under_bfloat16_autocast():
    weights = torch.randn(16, 16, 3, 3)
    outside = ternarise(weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ternarise(weights)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_brevitas_layer_has_the_same_trits_outputs_and_gradients():
    brevitas_layers = pytest.importorskip(
        "tritforge.compress.layers.brevitas_layers", reason="Brevitas is not installed"
    )
    torch.manual_seed(0)
    plain = TernaryConv2d(16, 32, 3, stride=2)
    other = brevitas_layers.BrevitasTernaryConv2d(16, 32, 3, stride=2)
    other.load_state_dict(plain.state_dict())
    images, weight_of_output = torch.randn(2, 16, 8, 8), torch.randn(2, 32, 4, 4)
    results = []
    for layer in (plain, other):
        output = layer(images)
        (output * weight_of_output).sum().backward()
        results.append((output.detach(), layer.weight.grad, layer.trits()))
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
    weight, scale, *_ = other.weight_quant.tensor_quant(other.weight)
    assert torch.equal(torch.round(weight / scale), plain.trits())
