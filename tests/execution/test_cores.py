"""Threads of each run, and runs side by side: the same whatever else the machine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.execution.cores import concurrent_on_cpu, model_key, share_cores, share_gpu_host
from cifar_lab.training.events import ModelBuilt
from cifar_lab.training.job import Job

OWN = "model.py:Own"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def job(*overrides: str, model: str = "Net", seed: int = 0, **runtime: Any) -> Job:
    given = {"model": {"name": model}, "data": {"dataset": "synthetic", "batch_size": 64}, "runtime": runtime}
    return Job(settings_from(given, overrides=overrides), seed, f"{model}-{seed}", {}, "", Path("results"), True)


def threads(
    *jobs: Job, cores: int = 2, workers: int | None = None, own_kernels: bool = False, **parameters: int
) -> list[int]:
    counted = {
        model_key(each.settings): ModelBuilt(parameters["own"], own_kernels=own_kernels) for each in jobs if parameters
    }
    return [each.threads for each in share_cores(jobs, cores, workers, counted).jobs]


@pytest.mark.parametrize("kernels", ["own", "torch"])
@pytest.mark.parametrize("neighbours", range(4))
@pytest.mark.parametrize("workers", [None, 1, 2, 7])
def test_threads_that_decide_bits_do_not_depend_on_other_runs(
    kernels: str, neighbours: int, workers: int | None
) -> None:
    others = [job(seed=seed) for seed in range(1, neighbours + 1)]
    assert threads(job(model="ResNet18"), *others, workers=workers)[0] == 2
    assert threads(job(kernels="torch"), *others, workers=workers)[0] == 1
    assert threads(job(precision="bf16"), *others, workers=workers)[0] == 1
    assert threads(job(model=OWN), *others, workers=workers, own=999_999)[0] == 1
    assert threads(job(model=OWN), *others, workers=workers, own=1_000_000)[0] == 2


def test_own_kernels_take_a_second_core_that_no_other_run_needs() -> None:
    assert threads(job()) == [2]
    assert threads(job("data.batch_size=16")) == [1]
    assert threads(job(), cores=1) == [1]
    assert threads(job(), job(seed=1)) == [1, 1]
    assert threads(job(), job(seed=1), workers=1) == [2, 2]
    assert threads(job(), job(seed=1), cores=16) == [2, 2]


@pytest.mark.parametrize("model", ["Net", "ResNet18"])
def test_threads_that_the_settings_state_are_kept(model: str) -> None:
    assert threads(job(model=model, threads=5)) == [5]


def test_omp_num_threads_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(job(model="ResNet18"), cores=8) == [3]
    assert share_cores([job(model="ResNet18", seed=seed) for seed in range(4)], 8, None).side_by_side == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads(job()) == [1]


@pytest.mark.parametrize(
    ("model", "cores", "workers", "side_by_side", "cut"),
    [
        ("Net", 2, None, 2, None),
        ("Net", 2, 1, 1, None),
        ("Net", 2, 4, 2, "--workers 4 is reduced to 2: a run has 1 thread, and this process may use 2 cores"),
        ("ResNet18", 2, None, 1, None),
        ("ResNet18", 2, 1, 1, None),
        ("ResNet18", 2, 2, 1, "--workers 2 is reduced to 1: a run has 2 threads, and this process may use 2 cores"),
        ("ResNet18", 1, 2, 1, "--workers 2 is reduced to 1: a run has 1 thread, and this process may use 1 core"),
    ],
)
def test_workers_follow_from_the_threads(
    model: str, cores: int, workers: int | None, side_by_side: int, cut: str | None
) -> None:
    shares = share_cores([job(model=model, seed=seed) for seed in range(9)], cores, workers)
    assert (shares.side_by_side, shares.cut) == (side_by_side, cut)
    assert concurrent_on_cpu(job(model=model).settings, cores, workers) == side_by_side


def test_small_runs_beside_large_ones_keep_their_workers() -> None:
    shares = share_cores([job(model="ResNet18"), job(), job(seed=1)], 8, None)
    assert ([each.threads for each in shares.jobs], shares.side_by_side) == ([8, 2, 2], 8)


def test_runs_on_a_gpu_share_the_cores() -> None:
    jobs = [job(model="ResNet18", seed=seed) for seed in range(4)]
    assert [each.threads for each in share_gpu_host(jobs, 16)] == [4] * 4
    assert [each.threads for each in share_gpu_host(jobs, 2)] == [1] * 4


def test_a_custom_model_that_the_kernels_know_has_the_threads_of_a_built_in_one() -> None:
    known, unknown = (threads(job(model=OWN), own=62_006, own_kernels=own) for own in (True, False))
    assert known == threads(job()) == [2]
    assert unknown == [1]
    asked = job("runtime.kernels=torch", model=OWN)
    assert threads(asked, own=62_006, own_kernels=True) == [1]
