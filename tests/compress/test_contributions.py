from __future__ import annotations

import pytest
import torch

from tritforge.compress.contributions import (
    combined_contribution,
    global_contribution,
    local_contribution,
    select_largest,
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


def test_selection_takes_the_largest_candidates_and_never_more_than_there_are():
    contribution = torch.tensor([5.0, -1.0, 3.0, 4.0])
    candidates = torch.tensor([False, True, True, True])
    assert select_largest(contribution, candidates, 2).tolist() == [False, False, True, True]
    assert select_largest(contribution, candidates, 9).tolist() == candidates.tolist()
    assert not select_largest(contribution, candidates, 0).any()


def test_of_equal_contributions_the_first_are_taken():
    contribution = torch.tensor([2.0, 1.0, 1.0, 1.0, 2.0])
    every = torch.ones(5, dtype=torch.bool)
    assert select_largest(contribution, every, 1).tolist() == [True, False, False, False, False]
    assert select_largest(contribution, every, 4).tolist() == [True, True, True, False, True]
