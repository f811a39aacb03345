from __future__ import annotations

import pytest
import torch

from tritforge.compress.engine.method import Run, weight_names
from tritforge.compress.updates.contributions import (
    LocalContributions,
    best_first,
    combined_contribution,
    global_contribution,
    local_contribution,
)


def test_parts_are_normalised_by_their_own_sums():
    moved, gained = torch.tensor([1.0, 3.0]), torch.tensor([30.0, 10.0])
    assert combined_contribution(moved, gained).tolist() == pytest.approx([0.25 + 0.75, 0.75 + 0.25])


@pytest.mark.parametrize("gained", [[-1.0, -2.0], [1.0, -1.0], [0.0, 0.0]])
def test_a_sum_that_is_not_positive_leaves_its_part_out(gained):
    # Dividing by a negative sum would rank the weights that raised the loss first.
    combined = combined_contribution(torch.tensor([1.0, 3.0]), torch.tensor(gained))
    assert combined.tolist() == pytest.approx([0.25, 0.75])


def test_local_contribution_counts_loss_reduction_as_positive():
    # Plain gradient descent on w**2: every step goes against the gradient and lowers the loss.
    weight, gathered = torch.tensor([2.0]), torch.zeros(1)
    start = weight.clone()
    for _ in range(50):
        gradient = 2 * weight
        step = -0.05 * gradient
        gathered = local_contribution(gathered, gradient, step)
        weight = weight + step
    reduction = start.square() - weight.square()
    assert gathered.item() == pytest.approx(reduction.item(), rel=0.1)
    assert global_contribution(start, weight).item() == pytest.approx((2.0 - weight.item()) ** 2)


def test_contributions_are_gathered_over_the_steps_of_a_training(deployed):
    model = deployed.model()
    layers, names = model.ternary_layers(), weight_names(model)
    gathering = LocalContributions()
    gathering.begin(Run(model, 2, 16))
    generator = torch.Generator().manual_seed(0)
    expected = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    still = list(layers)[-1]
    for step in range(2):
        moving = {name: layer.weight for name, layer in layers.items() if name != still}
        gradients = {names[name]: torch.randn(weight.shape, generator=generator) for name, weight in moving.items()}
        assert gathering.edit(gradients) is gradients
        with torch.no_grad():
            for name, weight in moving.items():
                before = weight.clone()
                weight.add_(torch.randn(weight.shape, generator=generator))
                expected[name] -= gradients[names[name]] * (weight - before)
        gathering.after_step(step + 1)
    assert all(torch.equal(gathering.gathered[name], expected[name]) for name in layers)
    assert not gathering.gathered[still].any()


def test_candidates_are_ranked_by_contribution_and_equal_ones_by_position():
    contribution = torch.tensor([5.0, -1.0, 3.0, 4.0, 3.0])
    candidates = torch.tensor([False, True, True, True, True])
    assert best_first(contribution, candidates).tolist() == [3, 2, 4, 1]
    assert best_first(contribution, torch.zeros(5, dtype=torch.bool)).tolist() == []
