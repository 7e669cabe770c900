from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    RetryScheduled,
    RunOutcome,
    RunResumed,
    RunStarted,
    StepCompleted,
)
from cifar_lab.training.job import Job


def planned(number: int, *overrides: str) -> list[PlannedRun]:
    values = {"label": "Net, SGD", "data": {"dataset": "cifar10"}, "epochs": 10}
    arm = settings_from(values, overrides=overrides)
    jobs = [Job(arm, seed, f"{arm.epochs}/{seed}", {}, "", Path("results"), False) for seed in range(number)]
    return [PlannedRun(job, "missing", None) for job in jobs]


def epoch(number: int, took: float) -> EpochCompleted:
    return EpochCompleted(
        epoch=number, seconds=took, lr=0.1, train_loss=1.0, train_accuracy=0.5, val_loss=None, val_accuracy=None
    )


def test_the_time_left_is_what_is_left_shared_by_those_side_by_side() -> None:
    plan = planned(4)
    tally = ProgressState(plan)
    assert tally.seconds_left() is None
    first, second, third, _ = (run.job for run in plan)
    for job in (first, second):
        tally.event(job, RunStarted())
        tally.event(job, DeviceChosen(device="cpu", threads=1))
        tally.event(job, epoch(5, 2.0))
    assert tally.seconds_left() == pytest.approx((10 + 10 + 20 + 20) / 2)
    tally.event(first, RunOutcome(status="done", val_accuracy=0.5))
    assert tally.seconds_left() == pytest.approx((10 + 20 + 20) / 2)
    tally.event(second, RetryScheduled(reason="killed", attempt=2, alone=False))
    assert tally.seconds_left() == pytest.approx((20 + 20 + 20) / 2)
    tally.event(second, RunResumed(epoch=8))
    tally.event(third, DeviceChosen(device="cpu", threads=1))
    assert tally.seconds_left() == pytest.approx((4 + 20 + 20) / 2)
    tally.event(third, StepCompleted(epoch=10, step=50, steps=100, loss=1.0, accuracy=0.5))
    assert tally.seconds_left() == pytest.approx(max((4 + 1 + 20) / 2, 4))


def test_the_time_left_of_a_rung_is_that_of_the_epochs_that_it_trains() -> None:
    plan = [replace(run, job=replace(run.job, until_epoch=6), state="interrupted", epochs=2) for run in planned(2)]
    tally = ProgressState(plan)
    assert tally.epochs == 2 * 4
    first, second = (run.job for run in plan)
    tally.event(first, RunResumed(epoch=2))
    tally.event(first, epoch(3, 2.0))
    assert tally.seconds_left() == pytest.approx((3 + 4) * 2)
    tally.event(first, RunOutcome(status="paused"))
    tally.event(second, DeviceChosen(device="cpu", threads=1))
    assert tally.seconds_left() == pytest.approx(4 * 2)
    assert tally.all_epochs_made == 4


def test_the_last_run_is_not_shared_by_anybody() -> None:
    plan = planned(2)
    tally = ProgressState(plan)
    for run in plan:
        tally.event(run.job, epoch(1, 3.0))
    tally.event(plan[0].job, RunOutcome(status="done"))
    assert tally.seconds_left() == pytest.approx(27)


def test_a_command_in_words() -> None:
    plan = planned(5)
    tally = ProgressState(plan)
    assert tally.words() == "0/5 runs · 1 s elapsed"
    ends = [
        {"status": "done", "val_accuracy": 0.25}, {"status": "failed"}, {"status": "diverged"},
        {"status": "done", "val_accuracy": 0.5}, {"status": "done", "val_accuracy": 0.125},
    ]  # fmt: skip
    for run, end in zip(plan[:4], ends[:4], strict=True):
        tally.event(run.job, epoch(10, 6.0))
        tally.event(run.job, RunOutcome(**end))
    assert tally.words() == "4/5 runs · 1 s elapsed, 60 s left · best validation 0.500 · 1 failed, 1 diverged"
    assert tally.best == (("validation", 0.5), "Net, SGD · seed 3")
    tally.event(plan[4].job, RunOutcome(**ends[4]))
    assert tally.words() == "5/5 runs · 1 s elapsed · best validation 0.500 · 1 failed, 1 diverged"
