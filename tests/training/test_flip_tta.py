"""Accuracy with mirror images: recorded beside the accuracy, which stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.analysis.summary import arm_row
from cifar_lab.config import Settings
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.store.records import METRICS_SCHEMA, Record
from cifar_lab.training.device import Execution
from cifar_lab.training.evaluate import TTA_METRIC, predict, score, with_flip_tta


class Sides(torch.nn.Module):
    """Logits that depend on the left half of an image alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, :2, :2].flatten(1)[:, :10]


def split() -> ResidentSplit:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (700, 3, 32, 32), dtype=np.uint8)
    return ResidentSplit(pixels, random.integers(0, 10, 700), Normalizer.make("half", (), (), torch.device("cpu")))


def test_it_is_the_accuracy_of_the_mean_logits() -> None:
    given, network, execution = split(), Sides(), Execution(torch.device("cpu"), bf16=False, threads=1)
    images = given.normalized(0, 700)[0]
    mean = (network(images) + network(images.flip(-1))) / 2
    logits = predict(network, given, execution)
    found = score(logits, given.labels, 10)
    assert found is not None
    expected = float((mean.argmax(1) == given.labels).double().mean())
    for known in (None, logits):
        beside = with_flip_tta(found, network, given, execution, known)
        assert beside.metrics == {TTA_METRIC: expected}
        assert beside.model_copy(update={"metrics": {}}) == found


@pytest.mark.slow
def test_a_record_has_it_beside_and_nothing_else_changes(lab: Any) -> None:
    plain: Settings = lab.settings("data.val_size=40", "data.flip=true")
    with_tta: Settings = lab.settings("data.val_size=40", "data.flip=true", "evaluate.tta=flip")
    jobs = [lab.job(each) for each in (plain, with_tta)]
    one, other = (lab.make(job) for job in jobs)
    assert one.run_id != other.run_id
    for ours, theirs in ((one.test, other.test), (one.val, other.val)):
        assert theirs.metrics.keys() == {TTA_METRIC}
        assert theirs.model_copy(update={"metrics": {}}) == ours
    assert one.files == other.files
    assert other.schema_ >= METRICS_SCHEMA
    searched: Record = lab.make(lab.job(with_tta, seed=1, read_test=False))
    assert searched.test is None
    assert searched.val is not None
    assert searched.val.metrics.keys() == {TTA_METRIC}
    tested: Record = lab.make(replace(lab.job(with_tta, seed=1), read_test=True))
    assert tested.test is not None
    assert tested.test.metrics.keys() == {TTA_METRIC}
    row = arm_row("arm", [other, tested])
    assert row.tta_mean == pytest.approx((other.test.metrics[TTA_METRIC] + tested.test.metrics[TTA_METRIC]) / 2)
    assert arm_row("arm", [one]).tta_mean is None
