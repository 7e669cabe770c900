"""What a score says, against numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cifar_lab.training.evaluate import score, score_all


def test_score_by_hand() -> None:
    """Softmax of (0, ln 3) is (1/4, 3/4): each loss is the logarithm of a small fraction."""
    low, high = 0.0, math.log(3)
    logits = torch.tensor([[low, high], [high, low], [high, low], [low, high], [high, low]])
    labels = torch.tensor([1, 0, 1, 0, 0])
    result = score(logits, labels, 2)
    assert result is not None
    assert result.accuracy == pytest.approx(3 / 5, abs=1e-12)
    assert result.loss == pytest.approx((3 * math.log(4 / 3) + 2 * math.log(4)) / 5, rel=1e-7)
    assert result.per_class == (2 / 3, 1 / 2)
    assert result.confusion == ((2, 1), (1, 1))


def test_confusion_has_the_truth_in_rows_and_the_prediction_in_columns() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([2, 2, 0, 1]), 3).float()
    result = score(logits, torch.tensor([0, 0, 0, 1]), 3)
    assert result is not None
    assert result.confusion == ((1, 0, 2), (0, 1, 0), (0, 0, 0))


def test_a_class_without_images_has_accuracy_0_and_is_not_counted() -> None:
    result = score(torch.eye(3)[:2], torch.tensor([0, 1]), 3)
    assert result is not None
    assert (result.accuracy, result.per_class) == (1.0, (1.0, 1.0, 0.0))


def test_loss_is_summed_in_double_precision() -> None:
    """In fp32 a logit of 20 against 0 rounds the loss of a right answer to 2e-9 with an error of its own size."""
    result = score(torch.tensor([[20.0, 0.0]]), torch.tensor([0]), 2)
    assert result is not None
    assert result.loss == pytest.approx(math.log1p(math.exp(-20)), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_logit_that_is_not_finite_leaves_no_score(value: float) -> None:
    logits = torch.zeros(4, 3)
    logits[2, 1] = value
    assert score(logits, torch.tensor([0, 1, 2, 0]), 3) is None


def test_scores_of_several_networks_are_those_of_each() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 50, 4, generator=generator) * 5
    labels = torch.randint(3, (50,), generator=generator)  # the last class has no image
    logits[7, 3, 1] = float("nan")
    for each, own in zip(score_all(logits, labels, 4), logits, strict=True):
        expected = score(own, labels, 4)
        if expected is None:
            assert each is None
            continue
        assert each is not None
        assert each.model_dump(exclude={"loss"}) == expected.model_dump(exclude={"loss"})
        assert each.loss == pytest.approx(expected.loss, rel=1e-12)
