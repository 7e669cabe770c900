"""What an epoch came to, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cifar_lab.training.backends.base import EpochNumbers, MemberMetrics, StepMetrics

CPU = torch.device("cpu")


def metrics() -> StepMetrics:
    """Two members, three steps of 4, 4 and 2 images; the second member diverges in its second step."""
    found = StepMetrics([4, 4, 2], 2, CPU)
    found.write(0, torch.tensor([2.0, 3.0]), torch.tensor([1, 0]))
    found.write(1, torch.tensor([1.5, math.inf]), torch.tensor([2, 4]))
    found.write(2, torch.tensor([1.0, math.nan]), torch.tensor([2, 0]))
    return found


def test_means_count_images_and_not_steps() -> None:
    first, second = metrics().numbers(3)
    assert first == EpochNumbers(
        loss=(4 * 2.0 + 4 * 1.5 + 2 * 1.0) / 10, accuracy=0.5, finite_steps=3, last_finite_loss=1
    )
    assert math.isnan(second.loss)
    assert (second.accuracy, second.finite_steps, second.last_finite_loss) == (0.4, 1, 3.0)


def test_steps_not_made_yet_do_not_count() -> None:
    assert metrics().first_member(2) == pytest.approx((1.75, 3 / 8))
    assert metrics().numbers(1)[1] == EpochNumbers(3.0, 0.0, 1, 3.0)


def test_a_loss_that_was_once_not_finite_is_remembered() -> None:
    found = StepMetrics([1, 1], 1, CPU)
    found.write(0, torch.tensor([math.nan]), torch.tensor([0]))
    found.write(1, torch.tensor([1.0]), torch.tensor([1]))
    assert found.all_diverged(2)
    assert found.numbers(2)[0].finite_steps == 0
    assert found.numbers(2)[0].last_finite_loss == 0
    assert not metrics().all_diverged(3)


def member_metrics() -> MemberMetrics:
    """Ten images in batches of 8, 3 and 2: 2, 4 and 5 steps. The second member diverges in its third step."""
    found = MemberMetrics(10, [8, 3, 2], CPU)
    found.loss[:, 0] = torch.tensor([1.0, 2.0, 0, 0, 0])
    found.loss[:, 1] = torch.tensor([1.0, 2.0, math.nan, 4.0, 0])
    found.loss[:, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    found.right[:, 0] = torch.tensor([4, 1, 0, 0, 0])
    found.right[:, 2] = torch.tensor([1, 1, 1, 1, 0])
    return found


def test_members_have_their_own_batches() -> None:
    found = member_metrics()
    assert list(found.batch_sizes) == [2] * 5
    assert [found.completed(steps) for steps in (5, 3, 1)] == [[2, 4, 5], [1, 2, 3], [0, 0, 1]]
    first, second, third = found.numbers(5)
    assert first == EpochNumbers((8 * 1.0 + 2 * 2.0) / 10, 0.5, 2, 2.0)
    assert (math.isnan(second.loss), second.finite_steps, second.last_finite_loss) == (True, 2, 2.0)
    assert third == EpochNumbers(3.0, 0.4, 5, 5.0)
    assert found.first_member(3) == (1.0, 0.5)
    assert [each.finite_steps for each in found.numbers(3)] == [1, 2, 3]


def test_a_step_that_a_member_has_not_made_counts_for_nothing() -> None:
    found = member_metrics()
    found.loss[1, 0] = found.loss[4, 2] = math.nan
    assert found.all_diverged(5)
    assert not found.all_diverged(4), "the loss may be there already, but its share of the epoch is not complete"


def test_sums_of_a_member_depend_on_its_steps_alone() -> None:
    losses = torch.rand(1_407, 40, generator=torch.Generator().manual_seed(0))
    found = MemberMetrics(45_000, [32] * 40, CPU)
    found.loss[:] = losses
    for member in range(40):
        alone = MemberMetrics(45_000, [32], CPU)
        alone.loss[:] = losses[:, member : member + 1]
        (expected,) = alone.numbers(1_407)
        assert found.numbers(1_407)[member] == expected
