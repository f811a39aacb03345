from __future__ import annotations

import pytest
import torch

from tritforge.compress.layers.activations import ActivationQuantiser, round_half_up
from tritforge.compress.layers.multi_bit import IntegerLinear, quantise_weights, weight_levels


def quantiser(scale: float, bits: int = 8) -> ActivationQuantiser:
    module = ActivationQuantiser(bits).eval()
    module.peak.fill_(scale * module.top)
    return module


def test_rounding_is_half_up_as_in_the_requantise_rule():
    assert round_half_up(torch.tensor([0.5, 1.5, 2.5, -0.5])).tolist() == [1.0, 2.0, 3.0, 0.0]


def test_levels_clamp_below_at_zero_and_above_at_the_largest():
    levels = quantiser(0.5).levels(torch.tensor([-3.0, 0.2, 0.25, 0.74, 127.5, 1e6]))
    assert levels.tolist() == [0, 0, 1, 1, 255, 255]


def test_sixteen_bits_have_65535_as_largest_level():
    assert quantiser(1.0, 16).levels(torch.tensor([1e9])).item() == 65535


def test_a_map_is_exactly_level_times_scale():
    module = quantiser(0.013)
    values = torch.randn(1000) * 2
    assert torch.equal(module(values), module.levels(values) * module.scale)


def test_gradient_passes_inside_the_range_and_stops_outside():
    values = torch.tensor([-1.0, 3.3, 1000.0], requires_grad=True)
    quantiser(1.0)(values).sum().backward()
    assert values.grad.tolist() == pytest.approx([0.0, 1.0, 0.0])


def test_scale_follows_batches_in_training_alone():
    module = ActivationQuantiser(momentum=0.5)
    module(torch.tensor([255.0]))
    assert module.scale.item() == 1.0
    module(torch.tensor([765.0]))
    assert module.scale.item() == 2.0
    module.eval()
    module(torch.tensor([1e5]))
    assert module.scale.item() == 2.0
    module.train()
    module.tracking = False
    module(torch.tensor([1e5]))
    assert module.scale.item() == 2.0


def test_multi_bit_weights_use_each_channels_whole_range():
    weights = torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0], [0.01, 0.002, -0.02]])
    levels, steps = weight_levels(weights)
    assert levels[0].tolist() == [127.0, -64.0, 0.0]
    assert levels[1].tolist() == [0.0, 0.0, 0.0]
    assert steps[1].item() == 0.0
    assert levels[2, 2].item() == -127.0
    assert torch.allclose(quantise_weights(weights), levels * steps[:, None])


def test_multi_bit_gradient_passes_unchanged():
    layer = IntegerLinear(4, 2)
    layer(torch.eye(4)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(2, 4))


def test_gradient_is_the_plain_formula_in_the_layout_of_the_maps():
    module = quantiser(0.013)
    values = torch.randn(2, 16, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    seen = []
    values.register_hook(seen.append)
    module(values).mean(dim=(2, 3)).square().sum().backward()  # the gradient of a mean is one number for all pixels
    outputs = module(values.detach()).requires_grad_()
    outputs.mean(dim=(2, 3)).square().sum().backward()
    inside = (values >= 0) & (values / module.scale <= module.top)
    assert torch.equal(values.grad, outputs.grad * module.scale * inside / module.scale)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_bfloat16_map_is_worked_out_in_fp32_and_stays_bfloat16():
    module = quantiser(0.013)
    values = (torch.randn(2000) * 2).bfloat16().requires_grad_()
    result = module(values)
    assert result.dtype == torch.bfloat16
    exact = module.levels(values.detach().float()) * module.scale
    assert torch.equal(result, exact.bfloat16())
    gradient = torch.randn(2000).bfloat16()
    result.backward(gradient)
    inside = (values.float() >= 0) & (values.float() / module.scale <= module.top)
    assert values.grad.dtype == torch.bfloat16 and torch.equal(values.grad, gradient * inside)


def test_a_map_without_a_positive_value_stays_zero_and_finite():
    module = ActivationQuantiser()
    values = torch.tensor([-1.0, 0.0, -3.0], requires_grad=True)
    result = module(values)
    result.sum().backward()
    assert module.peak.item() == 0.0
    assert result.tolist() == [0.0, 0.0, 0.0]
    assert torch.isfinite(values.grad).all()


def test_both_ends_of_the_range_still_have_a_gradient():
    values = torch.tensor([0.0, 255.0], requires_grad=True)
    quantiser(1.0)(values).sum().backward()
    assert values.grad.tolist() == [1.0, 1.0]
