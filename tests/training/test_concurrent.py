"""Members that fit into the memory of a GPU, by trials of small cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.data import prepare
from cifar_lab.store.records import Record
from cifar_lab.training import concurrent
from cifar_lab.training.backends import choice
from cifar_lab.training.backends.block.shapes import NET
from cifar_lab.training.concurrent import MemoryNeed, members_that_fit, streams_that_fit
from cifar_lab.training.device import Execution
from cifar_lab.training.job import Job


@pytest.mark.parametrize(
    ("free", "members", "trials"),
    [(10_000, 40, [2]), (2_300, 40, [2, 4]), (1_000, 18, [2, 4]), (10, 1, [2, 4])],
    ids=["plenty", "just enough", "short", "too little for one"],
)
def test_a_second_trial_is_made_only_where_memory_is_short(
    free: int, members: int, trials: list[int], lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cohort needs 100 bytes, and each member 50."""
    made: list[int] = []

    def peak_of(jobs: Sequence[Job], execution: Execution) -> int:
        made.append(len(jobs))
        return 100 + 50 * len(jobs)

    monkeypatch.setattr(concurrent, "prepare_execution", lambda *_: Execution(torch.device("cuda"), False, 1))
    monkeypatch.setattr(concurrent, "free_bytes", lambda device: free / concurrent.USABLE_SHARE)
    monkeypatch.setattr(concurrent, "_peak_of", peak_of)
    job = lab.job(lab.settings("runtime.kernels=torch"))
    assert (members_that_fit([job] * 40, 1), made) == (members, trials)


def test_a_member_fits_always() -> None:
    assert MemoryNeed(100, 50).members_in(0, 5) == 1


@pytest.mark.parametrize(("members", "ahead"), [(40, [(NET, 10, {8, 64})]), (2, [])], ids=["enough", "too few"])
def test_the_block_kernel_is_compiled_while_its_cohort_is_built(
    members: int, ahead: list[Any], lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    gpu = torch.device("cuda")
    monkeypatch.setattr(concurrent, "choose_device", lambda name: gpu)
    monkeypatch.setattr(concurrent, "prepare_execution", lambda *_: Execution(gpu, False, 1))
    monkeypatch.setattr(concurrent, "compile_ahead", lambda device, *given: asked.append(given))
    monkeypatch.setattr(choice, "check_gpu", lambda device: None)
    jobs = [lab.job(lab.settings(f"data.batch_size={size}")) for size in (8, 100)]
    prepare(jobs[0].settings.data)
    regrouped = concurrent._stackable([jobs * (members // 2)], lambda job, outcome: None)
    assert (len(regrouped), asked) == (1 if ahead else 2, ahead)


@pytest.mark.parametrize(
    ("free", "expected"), [(10_000, 4), (1_600, 3), (10, 1), (None, 1)], ids=["plenty", "three", "none", "trial fails"]
)
def test_as_many_large_networks_train_at_a_time_as_the_memory_holds(
    free: int | None, expected: int, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of the largest batch needs 500 bytes."""

    def peak_of(jobs: Sequence[Job], execution: Execution) -> int:
        if free is None:
            raise torch.OutOfMemoryError
        return sum(5 * job.settings.data.batch_size for job in jobs)

    monkeypatch.setattr(concurrent, "prepare_execution", lambda *_: Execution(torch.device("cuda"), False, 1))
    monkeypatch.setattr(concurrent, "free_bytes", lambda device: (free or 0) / concurrent.USABLE_SHARE)
    monkeypatch.setattr(concurrent, "_peak_of", peak_of)
    large = [[lab.job(lab.settings("model.name=ResNet18", f"data.batch_size={size}"))] for size in (8, 100, 50, 8, 8)]
    assert streams_that_fit(large, 4) == expected
    assert streams_that_fit([[lab.job(lab.settings())]] * 5, 4) == 4, "small networks make no trial"
    assert streams_that_fit(large[:1], 1) == 1


@pytest.mark.slow
def test_runs_of_large_networks_share_a_device_and_end_once_each(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same trial and division on the CPU, with the threads that have a stream each on a GPU."""
    given = ("model.name=ResNet18", "data.batch_size=8", "data.train_size=48", "epochs=1", "runtime.kernels=torch")
    together, alone = ([lab.job(lab.settings(*given), seed=seed, results=where) for seed in (0, 1)] for where in "ab")
    monkeypatch.setattr(concurrent, "peak_bytes", lambda device: nullcontext(lambda: 1))
    trial = concurrent._peak_of(together[:1], concurrent.prepare_execution(together[0].settings.runtime, 1))
    ends: list[str] = []

    def ended(job: Job, outcome: Record | Exception) -> None:
        assert isinstance(outcome, Record)
        ends.append(job.run_id)

    concurrent.run_cohorts([[job] for job in together], 2, lambda job, event: None, lambda: False, ended)
    assert (trial, sorted(ends)) == (1, sorted(job.run_id for job in together))
    for job, other in zip(together, alone, strict=True):
        lab.make(other)
        weights = lab.weights(other)
        assert all(np.array_equal(tensor, weights[name]) for name, tensor in lab.weights(job).items())
