"""Members that fit into the memory of a GPU, by trials of small cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from cifar_lab.data import prepare
from cifar_lab.training import concurrent
from cifar_lab.training.backends import choice
from cifar_lab.training.backends.block.shapes import NET
from cifar_lab.training.concurrent import MemoryNeed, members_that_fit
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
    assert MemoryNeed(100, 50).members_in(0) == 1


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
