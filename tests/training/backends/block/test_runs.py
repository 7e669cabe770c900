"""Whole runs by the block kernel, here as C++: records, validation, checkpoints that other backends read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cifar_lab.core.errors import Interrupted
from cifar_lab.store.records import Record
from cifar_lab.training import run as experiment
from cifar_lab.training.backends.base import BackendInfo
from cifar_lab.training.backends.block.conditions import MODELS
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.job import Job

from .block_runs import block
from .host_kernel import HostKernel


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cohort train by the block kernel."""
    choose = experiment.make_backend

    def make(
        cohort: Any, batches: Any, settings: Any, execution: Any, reason: Any, kernels: Any, loss: Any, arms: Any,
        *given: Any,
    ) -> Any:  # fmt: skip
        _, info = choose(cohort, batches, settings, execution, reason, kernels, loss, arms, *given)
        eager = EagerBackend(cohort, batches, settings.loss.label_smoothing, execution)
        assert isinstance(info, BackendInfo)
        kernel = HostKernel(MODELS[settings.model.name], 10)
        return block(eager, kernel, arms), replace(info, own_kernels=True, kernels_reason=None)

    monkeypatch.setattr(experiment, "make_backend", make)


STEADY_NET1 = ("model.name=Net1", "data.batch_size=40")
"""BatchNorm over few images makes differences grow."""


def jobs(lab: Any, results: str, *overrides: str) -> list[Job]:
    crops = ["data.crop_padding=2", "data.crop_padding_mode=reflect"]
    given = overrides if any("batch_size" in each for each in overrides) else ("data.batch_size=8", *overrides)
    shared = ["data.val_size=40", "evaluate.tta=flip", *crops, *given]
    varied = (
        ["optimizer.lr=0.002"],
        ["optimizer.name=adamw", "optimizer.lr=0.0001", "optimizer.eps=1.0e-5", "data.flip=true"],
        ["optimizer.name=muon", "optimizer.lr=0.0005", "data.flip=alternating"],
    )
    return [lab.job(lab.settings(*shared, *own), seed=seed, results=results) for seed, own in enumerate(varied)]


def records(made: list[Job], *, stop: bool = False) -> list[Record | Exception]:
    ends: dict[str, Record | Exception] = {}
    experiment.run_cohort(
        made, lambda job, event: None, lambda: stop, lambda job, outcome: ends.update({job.run_id: outcome})
    )
    return [ends[job.run_id] for job in made]


@pytest.mark.slow
@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("model", [(), STEADY_NET1], ids=["Net", "Net1"])
def test_records_are_those_of_torch_and_name_the_kernel(
    lab: Any, monkeypatch: pytest.MonkeyPatch, model: Sequence[str]
) -> None:
    ours = jobs(lab, "block", *model)
    made = records(ours)
    monkeypatch.undo()
    expected = jobs(lab, "torch", *model)
    for job, solo, record, other in zip(ours, expected, made, records(expected), strict=True):
        assert isinstance(record, Record)
        assert isinstance(other, Record)
        assert (record.environment.kernels, record.environment.reduction) == ("own", "batch")
        assert record.val is not None
        assert other.val is not None
        assert record.val.loss == pytest.approx(other.val.loss, rel=1e-3)
        assert record.val.metrics.keys() == other.val.metrics.keys() == {"accuracy_tta"}
        lab.assert_weights_close(job, solo)


@pytest.mark.slow
@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("model", [(), STEADY_NET1], ids=["Net", "Net1"])
def test_an_interrupted_cohort_goes_on_to_the_same_bits(lab: Any, model: Sequence[str]) -> None:
    whole, cut = jobs(lab, "whole", *model), jobs(lab, "cut", *model)
    records(whole)
    assert all(isinstance(end, Interrupted) for end in records(cut, stop=True))
    records(cut)
    for job, expected in zip(cut, whole, strict=True):
        assert all(np.array_equal(lab.weights(job)[name], each) for name, each in lab.weights(expected).items())
