"""Runs made together against the same runs made alone: ids, records, resume, divergence, lack of memory.

On a GPU, where there is one, the same with captured graphs and side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.core.errors import Interrupted
from cifar_lab.store.records import Record
from cifar_lab.training import run as experiment
from cifar_lab.training.concurrent import MemoryNeed, run_cohorts
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
on_every_device = pytest.mark.parametrize("device", DEVICES)

VARIED = [
    ["optimizer.lr=0.002"],
    ["optimizer.lr=0.001", "optimizer.momentum=0.5", "scheduler.name=plateau", "scheduler.patience=0"],
    ["optimizer.name=adam", "optimizer.lr=0.0002", "scheduler.name=one_cycle"],
    ["optimizer.name=adamw", "optimizer.lr=0.0001", "data.flip=true", "scheduler.name=cosine"],
]
"""Settings that members of one cohort may have; sorted by optimizer they are 2, 3, 0, 1. Learning rates are so low that
differences of rounding do not grow over the run."""

STEADY = [
    ["optimizer.lr=0.0002"],
    ["optimizer.lr=0.0001", "optimizer.momentum=0.5", "scheduler.name=plateau", "scheduler.patience=0"],
    ["optimizer.lr=0.0002", "scheduler.name=one_cycle"],
    ["optimizer.lr=0.0001", "data.flip=true", "scheduler.name=cosine"],
]
"""The same for Net1, in which BatchNorm over eight images makes differences grow faster, and Adam turns the rounding in
the gradient of a bias before BatchNorm into steps."""

SMALL_SPLIT = ["data.val_size=40"]


def jobs(
    lab: Any, device: str, results: str, *overrides: str, varied: Sequence[Sequence[str]] = VARIED, batch_size: int = 8
) -> list[Job]:
    shared = [f"runtime.device={device}", f"data.batch_size={batch_size}", *SMALL_SPLIT, *overrides]
    settings = [lab.settings(*shared, *own) for own in varied]
    found = [lab.job(each, seed=seed, results=results) for seed, each in enumerate(settings)]
    return sorted(found, key=lambda job: job.settings.optimizer.name)


class Ends(dict[str, Record | Exception]):
    """How each run ended, by its id."""

    def __call__(self, job: Job, outcome: Record | Exception) -> None:
        assert job.run_id not in self, "it was told twice"
        self[job.run_id] = outcome


def together(
    made: Sequence[Job], tell: Any = lambda job, event: None, should_stop: Any = lambda: False
) -> dict[str, Record | Exception]:
    ends = Ends()
    run_cohort(made, tell, should_stop, ends)
    assert ends.keys() == {job.run_id for job in made}
    return ends


def record_of(ends: dict[str, Record | Exception], job: Job) -> Record:
    outcome = ends[job.run_id]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.mark.slow
@on_every_device
@pytest.mark.parametrize(("model", "varied"), [("Net", VARIED), ("Net1", STEADY)], ids=["Net", "Net1"])
def test_records_of_a_cohort_are_those_of_runs_alone(
    lab: Any, model: str, varied: Sequence[Sequence[str]], device: str
) -> None:
    members = jobs(lab, device, "together", f"model.name={model}", varied=varied)
    alone = jobs(lab, "cpu", "alone", f"model.name={model}", varied=varied)
    ends = together(members)
    for job, solo in zip(members, alone, strict=True):
        ours, expected = record_of(ends, job), lab.make(solo)
        assert (ours.run_id, ours.recipe, ours.seed) == (expected.run_id, expected.recipe, expected.seed)
        assert ours.data == expected.data
        assert ours.files.keys() == expected.files.keys()
        assert (ours.environment.cohort, ours.environment.stacked) == (4, True)
        assert (expected.environment.cohort, expected.environment.stacked) == (1, False)
        at_once = ours.environment.captured or ours.environment.kernels == "own"
        assert at_once == (device == "cuda"), ours.environment.eager_reason
        lab.assert_weights_close(job, solo)
        for kept, line in zip(lab.run_folder(job).read_metrics(), lab.run_folder(solo).read_metrics(), strict=True):
            assert (kept.epoch, kept.lr) == (line.epoch, pytest.approx(line.lr))
            assert kept.train_loss == pytest.approx(line.train_loss, rel=1e-3)
            assert kept.val_loss == pytest.approx(line.val_loss, rel=1e-3)
        assert ours.test is not None
        assert expected.test is not None
        assert ours.test.loss == pytest.approx(expected.test.loss, rel=1e-3)
        assert lab.run_folder(job).unfinished_state() == "interrupted", "its folder is free again"
        assert not lab.run_folder(job).has_checkpoint()


@pytest.mark.slow
def test_members_that_are_there_already_are_not_made_again(lab: Any) -> None:
    members = jobs(lab, "cpu", "results")
    first = lab.make(members[1])
    ends = together(members)
    assert record_of(ends, members[1]) == first
    assert [record_of(ends, job).environment.cohort for job in members] == [3, 1, 3, 3]


@pytest.mark.slow
@on_every_device
def test_an_interrupted_cohort_goes_on_to_the_same_weights(lab: Any, device: str) -> None:
    whole, cut = jobs(lab, device, "whole"), jobs(lab, device, "cut")
    together(whole)
    ends = together(cut, should_stop=lambda: True)
    assert {str(end) for end in ends.values()} == {"stopped after epoch 1, whose checkpoint is kept"}
    assert {type(end) for end in ends.values()} == {Interrupted}
    ends = together(cut)
    for job, expected in zip(cut, whole, strict=True):
        assert record_of(ends, job).notes == ("resumed after epoch 1",)
        ours, theirs = lab.weights(job), lab.weights(expected)
        for name, tensor in theirs.items():
            if device == "cpu":
                assert np.array_equal(ours[name], tensor), name
            else:
                np.testing.assert_allclose(ours[name], tensor, rtol=2e-3, atol=2e-4)


@pytest.mark.slow
def test_members_at_different_epochs_train_in_groups_and_a_solo_run_takes_over(lab: Any) -> None:
    """A process that dies between two checkpoints leaves some members an epoch ahead."""
    members = jobs(lab, "cpu", "results", "epochs=4")
    together(members, should_stop=lambda: True)
    together(members[:2], should_stop=lambda: True)
    solo = record_of({members[0].run_id: lab.make(members[0])}, members[0])
    assert solo.notes[0] == "resumed after epoch 2"
    ends = together(members[1:])
    assert [record_of(ends, job).notes[0] for job in members[1:]] == [
        "resumed after epoch 2",
        "resumed after epoch 1",
        "resumed after epoch 1",
    ]  # fmt: skip
    assert [record_of(ends, job).environment.cohort for job in members[1:]] == [1, 2, 2]
    for job, expected in zip(members, jobs(lab, "cpu", "alone", "epochs=4"), strict=True):
        lab.make(expected)
        lab.assert_weights_close(job, expected)


@pytest.mark.slow
@on_every_device
def test_a_member_that_diverges_is_recorded_and_the_others_are_as_without_it(lab: Any, device: str) -> None:
    wild = ["optimizer.lr=1e9"]
    members = jobs(lab, device, "results", varied=[VARIED[0], wild, VARIED[1]])
    calm = jobs(lab, device, "calm", varied=[VARIED[0], ["optimizer.lr=0.03"], VARIED[1]])
    ends, expected = together(members), together(calm)
    assert record_of(ends, members[1]).status == "diverged"
    assert str(record_of(ends, members[1]).reason).startswith("the loss was not finite in epoch 1 at step")
    for k in (0, 2):
        assert record_of(ends, members[k]).test == record_of(expected, calm[k]).test


@pytest.mark.slow
def test_what_keeps_one_member_out_does_not_keep_the_others(lab: Any) -> None:
    members = jobs(lab, "cpu", "results")
    folder = lab.run_folder(members[2])
    folder.path.mkdir(parents=True)
    with folder.lock():
        ends = together(members)
    assert "held by process" in str(ends[members[2].run_id])
    assert [record_of(ends, job).environment.cohort for job in members if job is not members[2]] == [3, 3, 3]


@pytest.mark.slow
def test_a_model_that_cannot_be_stacked_trains_one_network_after_the_other(lab: Any) -> None:
    (lab.folder / "dropping.py").write_text(
        "from torch import nn\n\n\nclass Dropping(nn.Sequential):\n    def __init__(self, num_classes):\n"
        "        super().__init__(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3072, num_classes))\n"
    )
    name = f"model.name={lab.folder}/dropping.py:Dropping"
    members, alone = (jobs(lab, "cpu", results, name) for results in ("together", "alone"))
    ends = together(members)
    for job, solo in zip(members, alone, strict=True):
        ours = record_of(ends, job)
        assert (ours.environment.cohort, ours.environment.stacked) == (4, False)
        assert str(ours.environment.eager_reason).startswith("networks separately: ")
        assert ours.test == lab.make(solo).test


@pytest.mark.slow
def test_a_cohort_that_memory_does_not_hold_is_made_in_halves(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    members = jobs(lab, "cpu", "results")
    build, sizes = experiment.build_cohort, []

    def narrow(arms: Sequence[Any], *given: Any, **named: Any) -> Any:
        sizes.append(len(arms))
        if len(arms) > 1:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return build(arms, *given, **named)

    monkeypatch.setattr(experiment, "build_cohort", narrow)
    ends = together(members)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    assert [record_of(ends, job).status for job in members] == ["done"] * 4


def test_memory_need_of_a_cohort() -> None:
    need = MemoryNeed(base=100, member=7)
    assert [need.members_in(available, most=9) for available in (100 + 7 * 5, 100 + 7 * 5 + 6.9, 50)] == [5, 5, 1]
    assert need.members_in(100 + 7 * 5, most=4) == 4


@pytest.mark.slow
@on_every_device
def test_cohorts_side_by_side_are_as_one_after_the_other(lab: Any, device: str) -> None:
    cohorts = [jobs(lab, device, "side", batch_size=size) for size in (8, 10, 12)]
    expected = [jobs(lab, device, "turn", batch_size=size) for size in (8, 10, 12)]
    side, turn = Ends(), Ends()
    run_cohorts(cohorts, 3, lambda job, event: None, lambda: False, side)
    run_cohorts(expected, 1, lambda job, event: None, lambda: False, turn)
    assert len(side) == len(turn) == 12
    for job, solo in zip(chain(*cohorts), chain(*expected), strict=True):
        if device == "cpu":
            assert record_of(side, job).test == record_of(turn, solo).test
        else:
            lab.assert_weights_close(job, solo)
