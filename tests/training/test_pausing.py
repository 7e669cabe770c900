"""A run that pauses short of its end and goes on later gives the bits of one that never paused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.core.errors import Paused
from cifar_lab.execution.plan import plan_runs
from cifar_lab.execution.protocol import decode_job, encode_job
from cifar_lab.execution.tasks import form_cohorts
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

SCHEDULES = (
    ("scheduler.name=one_cycle",),
    ("scheduler.name=cosine", "scheduler.warmup_epochs=0.5", "data.flip=true", "data.noise_std=0.02"),
    ("scheduler.name=plateau", "scheduler.monitor=val_loss", "scheduler.patience=0", "optimizer.name=adam"),
)


def paused_at(lab: Any, job: Job, epoch: int) -> Paused:
    with pytest.raises(Paused) as ended:
        lab.make(replace(job, until_epoch=epoch))
    return ended.value


def bits(lab: Any, job: Job, record: Record) -> tuple[Any, ...]:
    """Everything of a run that its settings and seed decide."""
    lines: list[EpochMetrics] = lab.run_folder(job).read_metrics()
    return record.val, record.test, record.files, [line.model_copy(update={"seconds": 0.0}) for line in lines]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_survivor_is_equal_to_an_undisturbed_run(lab: Any, schedule: tuple[str, ...]) -> None:
    settings = lab.settings("data.val_size=40", "epochs=5", *schedule)
    whole = lab.job(settings, results="undisturbed")
    undisturbed = lab.make(whole)
    job = lab.job(settings)
    for epoch in (1, 3):
        assert str(paused_at(lab, job, epoch)) == f"after epoch {epoch}"
        folder = lab.run_folder(job)
        assert (folder.read_record(), len(folder.read_metrics())) == (None, epoch)
        assert not folder.weights.exists()
        assert not folder.predictions.exists()
    survivor = lab.make(job)
    assert bits(lab, job, survivor) == bits(lab, whole, undisturbed)
    assert survivor.notes == ("resumed after epoch 3",)
    assert not lab.run_folder(job).has_checkpoint()


def states(lab: Any, until_epoch: int | None) -> list[str]:
    settings = lab.settings("data.val_size=40").model_copy(update={"seeds": (0,)})
    return [run.state for run in plan_runs([settings], lab.results, until_epoch=until_epoch)]


def test_a_paused_run_is_done_for_who_asks_no_more(lab: Any) -> None:
    job = lab.job(lab.settings("data.val_size=40"))
    assert states(lab, 2) == ["missing"]
    paused_at(lab, job, 2)
    assert [states(lab, until) for until in (1, 2, 3, None)] == [["done"], ["done"], ["interrupted"], ["interrupted"]]
    (planned,) = plan_runs([lab.settings("data.val_size=40", "seeds=[0]")], lab.results)
    assert planned.epochs == 2
    folder = lab.run_folder(job)
    whole = folder.metrics.read_bytes()
    folder.metrics.write_bytes(whole[:-9])
    assert states(lab, 2) == ["interrupted"]
    paused_at(lab, job, 2)
    assert folder.metrics.read_bytes() == whole
    folder.checkpoint.unlink()
    folder.checkpoint.with_name("checkpoint.bin.previous").unlink()
    assert states(lab, 1) == ["missing"]


def test_a_run_that_diverges_before_its_pause_has_its_record(lab: Any) -> None:
    job = replace(lab.job(lab.settings("data.val_size=40", "optimizer.lr=1e9")), until_epoch=2)
    assert lab.make(job).status == "diverged"


def test_an_epoch_beyond_the_end_is_the_end(lab: Any) -> None:
    job = replace(lab.job(lab.settings("epochs=1")), until_epoch=9)
    assert lab.make(job).status == "done"


def test_runs_of_a_cohort_pause_together_and_go_on_alone(lab: Any) -> None:
    settings = lab.settings("data.val_size=40", "runtime.cohort=4")
    alone = [lab.make(lab.job(settings, seed=seed, results="alone")) for seed in (0, 1)]
    jobs = [replace(lab.job(settings, seed=seed), until_epoch=1) for seed in (0, 1)]
    other = replace(jobs[0], until_epoch=2)
    assert form_cohorts([*jobs, other], on_gpu=False) == [jobs, [other]]
    ends: list[Record | Exception] = []
    for job in jobs:
        run_cohort([job], lambda *_: None, lambda: False, lambda _, outcome: ends.append(outcome))
    assert [str(end) for end in ends] == ["after epoch 1"] * 2
    for job, undisturbed in zip(jobs, alone, strict=True):
        assert lab.make(replace(job, until_epoch=None)).files == undisturbed.files


def test_a_worker_is_told_where_to_pause(lab: Any) -> None:
    job = replace(lab.job(lab.settings()), until_epoch=2)
    assert decode_job(encode_job(job)) == job
