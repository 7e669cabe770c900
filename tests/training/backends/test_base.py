"""What an epoch came to, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cifar_lab.training.backends.base import EpochNumbers, StepMetrics

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
