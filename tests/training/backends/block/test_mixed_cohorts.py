"""Cohorts of several batch sizes, made by the block kernel as C++ from the choice of kernels to the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.config import Settings
from cifar_lab.core.errors import Interrupted, Paused
from cifar_lab.store.records import Record
from cifar_lab.training import concurrent
from cifar_lab.training import run as experiment
from cifar_lab.training.backends import choice
from cifar_lab.training.backends.block import conditions
from cifar_lab.training.backends.block.jobs import Scoring
from cifar_lab.training.backends.block.shapes import Shape
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.concurrent import run_cohorts
from cifar_lab.training.device import Execution
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

from .host_kernel import HostKernel

VARIED = (
    ["data.batch_size=8", "optimizer.lr=0.002"],
    ["data.batch_size=8", "optimizer.name=adamw", "optimizer.lr=0.0001", "data.flip=true", "scheduler.name=one_cycle"],
    ["data.batch_size=30", "optimizer.lr=0.002", "scheduler.name=plateau", "scheduler.patience=0"],
    ["data.batch_size=100", "optimizer.name=adam", "loss.label_smoothing=0.1", "scheduler.name=cosine"],
)
"""Batches of one part and of two, with unequal last ones. The third size has fewer steps than a launch has segments."""


@dataclass
class Card:
    """A GPU that is played by the CPU, with the block kernel as C++."""

    refusal: str = ""
    """Reason against the kernel that its first look finds."""
    broken: str = ""
    """Reason that only its compilation finds."""
    scored: list[int] = field(default_factory=list)
    """Networks of each launch that scored."""
    parts: list[set[int]] = field(default_factory=list)
    """Sizes of parts of each compilation."""

    def check(self, device: torch.device) -> None:
        if self.refusal:
            raise KernelsUnavailable(self.refusal)

    def compiled(self, device: torch.device, shape: Shape, classes: int, parts: Sequence[int]) -> HostKernel:
        self.parts.append(set(parts))
        if self.broken:
            raise KernelsUnavailable(self.broken)
        kernel = HostKernel(shape, classes)
        score = kernel.score

        def counted(job: Scoring, blocks: int) -> None:
            self.scored.append(job.networks)
            score(job, blocks)

        kernel.score = counted  # type: ignore[method-assign]
        return kernel


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """Let the choice of kernels see a GPU, and all else the CPU."""
    found, make_backend, choose_kernels = Card(), choice.make_backend, choice.choose_kernels
    layout = experiment.layout

    def choose(settings: Settings, execution: Execution, *given: Any, **named: Any) -> Any:
        chosen, kernels = choose_kernels(settings, on_gpu(execution), *given, **named)
        return replace(execution, own_kernels=chosen.own_kernels), kernels

    def make(cohort: Any, batches: Any, settings: Settings, execution: Execution, *given: Any) -> Any:
        return make_backend(cohort, batches, settings, on_gpu(execution), *given)

    def layout_of(settings: Settings, execution: Execution, *, stacked: bool) -> torch.memory_format:
        return layout(settings, on_gpu(execution) if execution.own_kernels else execution, stacked=stacked)

    monkeypatch.setattr(experiment, "layout", layout_of)
    monkeypatch.setattr(conditions, "LEAST_MEMBERS", {8: 2, 64: 4})
    monkeypatch.setattr(choice, "check_gpu", found.check)
    monkeypatch.setattr(choice, "GpuKernel", found.compiled)
    for module in (experiment, concurrent):
        monkeypatch.setattr(module, "choose_kernels", choose)
    monkeypatch.setattr(experiment, "make_backend", make)
    return found


def on_gpu(execution: Execution) -> Execution:
    return replace(execution, device=torch.device("cuda"))


def jobs(lab: Any, results: str, *overrides: str, varied: Sequence[Sequence[str]] = VARIED) -> list[Job]:
    shared = ["data.train_size=211", "data.val_size=40", *overrides]
    return [lab.job(lab.settings(*shared, *own), seed=seed, results=results) for seed, own in enumerate(varied)]


def ends(made: Sequence[Job], *, stop: bool = False) -> list[Record | Exception]:
    found: dict[str, Record | Exception] = {}

    def ended(job: Job, outcome: Record | Exception) -> None:
        assert job.run_id not in found, "it was told twice"
        found[job.run_id] = outcome

    run_cohort(made, lambda job, event: None, lambda: stop, ended)
    return [found[job.run_id] for job in made]


def records(made: Sequence[Job]) -> list[Record]:
    found = []
    for end in ends(made):
        if isinstance(end, Exception):
            raise end
        found.append(end)
    return found


def assert_same_runs(lab: Any, ours: Sequence[Job], theirs: Sequence[Job]) -> None:
    """Equal weights, metrics and scores to the bit. Times and the size of the cohort may differ."""
    for job, other in zip(ours, theirs, strict=True):
        mine, expected = lab.weights(job), lab.weights(other)
        assert all(np.array_equal(mine[name], tensor) for name, tensor in expected.items())
        lines = [
            [line.model_copy(update={"seconds": 0.0}) for line in lab.run_folder(each).read_metrics()]
            for each in (job, other)
        ]
        assert lines[0] == lines[1]
        one, two = (lab.run_folder(each).read_record() for each in (job, other))
        assert (one.run_id, one.val, one.test, one.data) == (two.run_id, two.val, two.test, two.data)
        same = {"cohort": 1, "stacked": False}
        assert one.environment.model_copy(update=same) == two.environment.model_copy(update=same)


@pytest.mark.slow
def test_runs_of_a_mixed_cohort_are_those_of_cohorts_of_one_batch_size(lab: Any, card: Card) -> None:
    mixed, apart = jobs(lab, "mixed", "epochs=3"), jobs(lab, "apart", "epochs=3", "runtime.kernels=own")
    made = records(mixed)
    assert [(each.environment.cohort, each.environment.kernels) for each in made] == [(4, "own")] * 4
    assert card.scored == [4] * 3, "one launch scores all networks after an epoch"
    assert card.parts == [{8, 32, 64}]
    card.scored.clear()
    for group in (apart[:2], apart[2:3], apart[3:]):
        records(group)
    assert card.scored == [2] * 3 + [1] * 6
    assert_same_runs(lab, mixed, apart)
    for job, record in zip(mixed, made, strict=True):
        lines = lab.run_folder(job).read_metrics()
        assert record.train_seconds == sum(line.seconds for line in lines) > 0
    for job, other in zip(mixed, jobs(lab, "torch", "epochs=3", "runtime.kernels=torch"), strict=True):
        lab.make(other)
        lab.assert_weights_close(job, other)
        lines = [lab.run_folder(each).read_metrics() for each in (job, other)]
        for ours, theirs in zip(*lines, strict=True):
            assert ours.lr == theirs.lr
            assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)


@pytest.mark.slow
def test_an_interrupted_mixed_cohort_resumes_to_the_same_bits_with_other_members(lab: Any, card: Card) -> None:
    whole, cut = jobs(lab, "whole", "epochs=3"), jobs(lab, "cut", "epochs=3")
    records(whole)
    assert all(isinstance(end, Interrupted) for end in ends(cut, stop=True))
    assert isinstance(ends(cut[:1], stop=True)[0], Interrupted), "a run alone keeps the kernel of its first epochs"
    resumed = records(cut[::-1])
    assert [each.environment.cohort for each in resumed] == [3, 3, 3, 1]
    assert [each.notes for each in resumed] == [("resumed after epoch 1",)] * 3 + [("resumed after epoch 2",)]
    assert_same_runs(lab, cut, whole)


@pytest.mark.slow
def test_a_mixed_cohort_pauses_at_a_rung_and_some_go_on(lab: Any, card: Card) -> None:
    whole, halved = jobs(lab, "whole", "epochs=3"), jobs(lab, "halved", "epochs=3")
    records(whole)
    assert all(isinstance(end, Paused) for end in ends([replace(job, until_epoch=1) for job in halved]))
    records(halved[1:3])
    assert_same_runs(lab, halved[1:3], whole[1:3])


@pytest.mark.slow
def test_a_member_that_diverges_leaves_the_others_as_they_are(lab: Any, card: Card) -> None:
    wild = [VARIED[0], VARIED[1], ["data.batch_size=30", "optimizer.lr=1e9"], VARIED[3]]
    calm, members = jobs(lab, "calm"), jobs(lab, "wild", varied=wild)
    records(calm)
    made = records(members)
    assert [each.status for each in made] == ["done", "done", "diverged", "done"]
    assert str(made[2].reason).startswith("the loss was not finite in epoch 1 at step 2; the last finite loss was ")
    assert_same_runs(lab, [*members[:2], members[3]], [*calm[:2], calm[3]])


@pytest.mark.slow
@pytest.mark.parametrize("word", ["refusal", "broken"])
def test_without_the_kernel_batch_sizes_train_apart_and_records_say_why(word: str, lab: Any, card: Card) -> None:
    setattr(card, word, "there are none for this card")
    members, alone = jobs(lab, "results"), jobs(lab, "alone", "runtime.kernels=torch")
    made = records(members)
    environments = [each.environment for each in made]
    assert [each.cohort for each in environments] == [2, 2, 1, 1]
    assert {(each.kernels, each.kernels_reason) for each in environments[:2]} == {("torch", getattr(card, word))}
    assert all(each.kernels == "torch" and each.kernels_reason for each in environments[2:])
    assert all(each.notes == () for each in made)
    for group in (alone[:2], alone[2:3], alone[3:]):
        records(group)
    for job, other in zip(members, alone, strict=True):
        lab.assert_weights_close(job, other)


@pytest.mark.slow
def test_cohorts_without_the_kernel_are_put_together_by_batch_size(lab: Any, card: Card) -> None:
    card.refusal = "there are none for this card"
    members = jobs(lab, "results", "epochs=1", varied=[*VARIED[:1], *VARIED[2:3], *VARIED[1:2], *VARIED[3:]])
    found: dict[str, Any] = {}
    cohorts = [members[:2], members[2:]]
    run_cohorts(cohorts, 1, lambda *_: None, lambda: False, lambda job, end: found.update({job.run_id: end}))
    sizes = [found[job.run_id].environment.cohort for job in members]
    assert sizes == [2, 1, 2, 1], "both runs with batches of 8 are stacked, although they were planned apart"


@pytest.mark.slow
def test_a_few_networks_of_several_batch_sizes_are_left_to_torch(lab: Any, card: Card) -> None:
    made = records(jobs(lab, "results", "epochs=1", varied=VARIED[:3]))
    assert [(each.environment.cohort, each.environment.kernels) for each in made] == [
        (2, "own"),
        (2, "own"),
        (1, "torch"),
    ]
    assert made[2].environment.kernels_reason == "torch's are faster below 4 networks of this batch size"


@pytest.mark.slow
def test_a_mixed_cohort_that_memory_does_not_hold_is_made_in_halves(
    lab: Any, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = jobs(lab, "whole"), jobs(lab, "halves", "runtime.kernels=own")
    records(whole)
    build = experiment.build_cohort

    def narrow(arms: Sequence[Any], *given: Any, **named: Any) -> Any:
        if len(arms) > 2:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return build(arms, *given, **named)

    monkeypatch.setattr(experiment, "build_cohort", narrow)
    assert [each.environment.cohort for each in records(halves)] == [2] * 4
    assert_same_runs(lab, halves, whole)
