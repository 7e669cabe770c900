"""The same settings give the same bits with our own kernels: made twice, on any threads, interrupted and resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch

from cifar_lab.core.errors import Interrupted
from cifar_lab.core.openmp import openmp_environment
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.device import SUBNORMAL, flushed_subnormals
from cifar_lab.training.job import Job

from .small_runs import drawn_split, own_steps, settings

AUGMENTED = ("data.flip=true", "data.crop_padding=2", "data.val_size=30", "scheduler.name=one_cycle")

ARMS = {
    "Net": [],
    "Net1": ["model.name=Net1", "optimizer.name=adam"],
    "noise": ["data.noise_std=0.05"],
}
every_arm = pytest.mark.parametrize("arm", ARMS)


def bits(folder: RunFolder) -> tuple[bytes, bytes, list[str]]:
    """Weights, predictions, and the numbers of each epoch."""
    metrics = [line.model_dump_json(exclude={"seconds"}) for line in folder.read_metrics()]
    return folder.weights.read_bytes(), folder.predictions.read_bytes(), metrics


def made(lab: Any, job: Job) -> Record:
    record: Record = lab.make(job)
    assert record.environment.kernels == "own"
    return record


@every_arm
def test_a_run_made_twice_is_the_same(arm: str, lab: Any) -> None:
    jobs = [lab.job(lab.settings(*AUGMENTED, *ARMS[arm]), results=results) for results in ("first", "second")]
    first, second = (made(lab, job) for job in jobs)
    assert bits(lab.run_folder(jobs[0])) == bits(lab.run_folder(jobs[1]))
    assert first.test == second.test


@every_arm
def test_a_run_that_was_interrupted_ends_as_if_it_was_not(arm: str, lab: Any) -> None:
    settings = lab.settings(*AUGMENTED, *ARMS[arm])
    undisturbed, job = lab.job(settings, results="undisturbed"), lab.job(settings)
    made(lab, undisturbed)
    for epoch in (1, 2):
        with pytest.raises(Interrupted, match=f"^stopped after epoch {epoch}, whose checkpoint is kept$"):
            lab.make(job, should_stop=lambda: True)
    record = made(lab, job)
    assert record.notes == ("resumed after epoch 2",)
    assert bits(lab.run_folder(job)) == bits(lab.run_folder(undisturbed))


def test_a_run_begun_by_an_earlier_version_is_resumed_with_a_note(lab: Any) -> None:
    job = lab.job(lab.settings(*AUGMENTED))
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    path = lab.run_folder(job).checkpoint
    saved, _ = checkpoint.load_newest(path)
    assert saved is not None
    assert saved["environment"].pop("reduction") == "batch"
    checkpoint.save(path, saved)
    record = made(lab, job)
    assert record.notes == (
        "resumed after epoch 1",
        "epochs 1 to 1 ran with an earlier version's order of sums on 1 thread",
    )
    assert record.environment.reduction == "batch"


def test_a_run_tested_later_is_as_one_tested_at_once(lab: Any) -> None:
    settings = lab.settings(*AUGMENTED)
    at_once, job = lab.job(settings, results="at once"), lab.job(settings, read_test=False)
    made(lab, at_once)
    assert made(lab, job).test is None
    later = lab.job(settings)
    made(lab, later)
    assert bits(lab.run_folder(later)) == bits(lab.run_folder(at_once))


STEPS = """
import hashlib, sys
from tests.training.backends.kernels.small_runs import drawn_split, own_steps, settings

for model, batch in (("Net", 40), ("Net1", 100), ("Net3", 150)):
    arm = settings(f"model.name={model}", f"data.batch_size={batch}", "data.flip=true", "data.crop_padding=2")
    steps = own_steps(arm, drawn_split(2 * batch + 7), threads=int(sys.argv[1]))
    for epoch in range(2):
        for _ in steps.epoch(epoch):
            pass
        print(*[f"{float(loss):.9g}" for loss in steps.metrics.loss], *steps.metrics.right.flatten().tolist())
    for tensor in (steps.cohort.parameters.values, *steps.cohort.networks[0].buffers()):
        print(hashlib.sha256(tensor.numpy().tobytes()).hexdigest())
"""
"""Two epochs of batches of 3, 7 and 10 groups of images, and a last one of 7 images."""


@cache
def told(threads: int, limit: str = "") -> str:
    """Losses and digests of the weights from a process on so many threads. `limit`: most threads of OpenMP."""
    limited = {"OMP_THREAD_LIMIT": limit} if limit else {}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(threads)], capture_output=True, text=True, timeout=60, check=True,
        env={**openmp_environment(threads), "PYTHONPATH": os.pathsep.join(sys.path), **limited},
    )  # fmt: skip
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "limit"), [(2, ""), (3, ""), (4, ""), (9, ""), (2, "1"), (4, "3")])
def test_any_number_of_threads_gives_the_bits_of_one(threads: int, limit: str) -> None:
    """`limit`: OpenMP gives fewer threads than asked for."""
    assert told(threads, limit) == told(1)


def test_threads_that_began_before_subnormal_numbers_are_flushed_give_the_bits_of_one() -> None:
    arm, found = settings("data.batch_size=64"), []
    for threads in (1, 2):
        steps = own_steps(arm, drawn_split(64), threads=threads)
        for _ in steps.epoch(0):  # its threads begin here
            pass
        layer = steps.cohort.networks[0].get_submodule("fc1")
        with torch.no_grad():  # a subnormal output would let a gradient through its ReLU
            layer.get_parameter("weight")[::2], layer.get_parameter("bias")[::2] = SUBNORMAL, 0
        with flushed_subnormals():
            for _ in steps.epoch(1):
                pass
        found.append(steps.cohort.parameters.values.clone())
    assert torch.equal(*found)
    assert (found[0] != 0).any()
