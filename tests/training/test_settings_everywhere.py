"""Settings of images, loss and weights: resume to the same bits, and agreement of cohorts and kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.core.errors import Paused
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

ARMS = {
    "alternating flips": ["data.flip=alternating"],
    "reflected crops": ["data.crop_padding=3", "data.crop_padding_mode=reflect"],
    "mixup": ["data.mixup=1", "loss.label_smoothing=0.1"],
    "cutmix": ["data.cutmix=1", "data.mixup=0.5", "data.flip=alternating"],
    "kaiming": ["model.init=kaiming"],
    "orthogonal": ["model.init=orthogonal"],
    "whiten": ["model.init=whiten", "model.head_init=zero"],
}
"""Arms with learning rates so low that differences of rounding do not grow over the run."""

each_arm = pytest.mark.parametrize("arm", ARMS)
pytestmark = pytest.mark.slow


def job(lab: Any, arm: str, results: str, *overrides: str, seed: int = 0) -> Job:
    shared = ("data.val_size=40", "data.batch_size=8", "optimizer.lr=0.0005", "epochs=3")
    made: Job = lab.job(lab.settings(*shared, *ARMS[arm], *overrides), seed=seed, results=results)
    return made


def assert_close(lab: Any, ours: Job, expected: Job) -> None:
    lab.assert_weights_close(ours, expected)
    for kept, line in zip(lab.run_folder(ours).read_metrics(), lab.run_folder(expected).read_metrics(), strict=True):
        assert kept.train_loss == pytest.approx(line.train_loss, rel=1e-3)
        assert kept.train_accuracy == line.train_accuracy


@each_arm
@pytest.mark.parametrize("kernels", ["own", "torch"])
def test_a_run_resumes_to_the_same_bits(lab: Any, arm: str, kernels: str) -> None:
    whole, cut = (job(lab, arm, results, f"runtime.kernels={kernels}") for results in ("whole", "cut"))
    expected: Record = lab.make(whole)
    assert expected.environment.kernels == kernels
    for epoch in (1, 2):
        with pytest.raises(Paused):
            lab.make(replace(cut, until_epoch=epoch))
    found: Record = lab.make(cut)
    assert (found.files, found.val, found.test) == (expected.files, expected.val, expected.test)
    assert found.metrics_sha256 == expected.metrics_sha256


@each_arm
def test_both_kinds_of_kernels_and_a_cohort_end_alike(lab: Any, arm: str) -> None:
    own, plain = (job(lab, arm, kernels, f"runtime.kernels={kernels}", seed=1) for kernels in ("own", "torch"))
    for each in (own, plain):
        lab.make(each)
    assert_close(lab, own, plain)
    members = [job(lab, arm, "together", "runtime.kernels=torch", seed=seed) for seed in (0, 1, 2)]
    ends: dict[str, Any] = {}
    run_cohort(members, lambda *_: None, lambda: False, lambda each, outcome: ends.update({each.run_id: outcome}))
    record = ends[members[1].run_id]
    assert isinstance(record, Record), record
    assert (record.environment.cohort, record.environment.stacked) == (3, True)
    assert_close(lab, members[1], plain)
