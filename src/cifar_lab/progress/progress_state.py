"""State of a command: runs by status, the best accuracy, the elapsed and the remaining time.

Epochs of a run that existed before the command do not count. Test accuracy is never shown while runs are in progress.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cifar_lab.core.text import plain, progress_time
from cifar_lab.execution.cost import RunSeconds, RunShape
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    RetryScheduled,
    RunHeld,
    RunOutcome,
    RunResumed,
    StepCompleted,
)
from cifar_lab.training.job import Job


class Score(NamedTuple):
    """Accuracy that may be shown while runs are in progress."""

    split: str
    """`validation`, or `training` for a run without a validation split."""
    accuracy: float

    @property
    def worth(self) -> tuple[bool, float]:
        """Sort key: a validation accuracy counts above every training accuracy."""
        return self.split == "validation", self.accuracy

    def __str__(self) -> str:
        return f"{self.split} {self.accuracy:.3f}"


def epoch_score(event: EpochCompleted) -> Score:
    """Validation accuracy of an epoch, or its training accuracy without a validation split."""
    if event.val_accuracy is not None:
        return Score("validation", event.val_accuracy)
    return Score("training", event.train_accuracy)


def outcome_score(event: RunOutcome) -> Score | None:
    """Validation accuracy of a finished run. None without a validation split."""
    return None if event.val_accuracy is None else Score("validation", event.val_accuracy)


@dataclass
class _ActiveRun:
    """A run in training."""

    job: Job
    epoch: float
    """Epochs trained, with a fraction of the current one."""
    score: Score | None = None
    """Score of the last completed epoch."""


class ProgressState:
    """Counts the events of one plan."""

    def __init__(self, planned: Sequence[PlannedRun]) -> None:
        to_do = [run.job for run in planned if run.state != "done"]
        self._before = {run.job.run_id: run.epochs for run in planned if run.epochs}
        self.total = len(to_do)
        self.epochs = sum(self.epochs_to_make(job) for job in to_do)
        """Epochs to make in all runs."""
        self._epochs_ended = 0
        self.ended = self.failed = self.diverged = self.held = 0
        self.best: tuple[Score, str] | None = None
        """Score and name of the best run. Runs of earlier commands count where they have a validation split."""
        self._started = time.monotonic()
        self.running: dict[str, _ActiveRun] = {}
        self._run_seconds = RunSeconds(planned)
        self._waiting: Counter[tuple[RunShape, float]] = Counter(self._waiting_key(job) for job in to_do)
        self._concurrent = 1
        for run in planned:
            if run.state == "done" and run.record is not None and run.record.val is not None:
                self._consider(run.job, Score("validation", run.record.val.accuracy))

    def event(self, job: Job, event: Event) -> None:
        """Update the state by an event of a run."""
        match event:
            case RunOutcome():
                self._end(job, event)
            case RetryScheduled() | RunHeld():
                if self.running.pop(job.run_id, None) is not None:
                    self._waiting[self._waiting_key(job)] += 1
            case DeviceChosen() | RunResumed() | StepCompleted() | EpochCompleted():
                self._move(job, event)

    def _move(self, job: Job, event: DeviceChosen | RunResumed | StepCompleted | EpochCompleted) -> None:
        active = self.running.get(job.run_id)
        if active is None:
            active = self.running[job.run_id] = _ActiveRun(job, self._before.get(job.run_id, 0))
            self._waiting[self._waiting_key(job)] -= 1
            self._concurrent = max(self._concurrent, len(self.running))
        match event:
            case RunResumed():
                active.epoch = event.epoch
            case StepCompleted():
                active.epoch = event.epoch - 1 + event.step / event.steps
            case EpochCompleted():
                active.epoch, active.score = event.epoch, epoch_score(event)
                self._run_seconds.learn(job.settings, event.seconds * job.settings.epochs)

    def _end(self, job: Job, event: RunOutcome) -> None:
        self.ended += 1
        self.failed += event.status == "failed"
        self.diverged += event.status == "diverged"
        self.held += event.status == "held"
        active = self.running.pop(job.run_id, None)
        if active is None:
            self._waiting[self._waiting_key(job)] -= 1
        if event.status not in ("interrupted", "held"):
            self._epochs_ended += self.epochs_to_make(job)
        if event.status == "done":
            self._consider(job, outcome_score(event) or (None if active is None else active.score))

    def _consider(self, job: Job, score: Score | None) -> None:
        if score is not None and (self.best is None or score.worth > self.best[0].worth):
            self.best = score, plain(job.name)

    def last_score(self, job: Job) -> Score | None:
        """Score of the last completed epoch of an active run."""
        active = self.running.get(job.run_id)
        return None if active is None else active.score

    def epochs_to_make(self, job: Job) -> int:
        """Epochs that the command trains of a run."""
        return max(0, job.last_epoch - self._before.get(job.run_id, 0))

    def epochs_made(self, job: Job) -> float:
        """Epochs that the command has trained of an active run, with a fraction of the current one."""
        active = self.running.get(job.run_id)
        return 0.0 if active is None else max(0.0, active.epoch - self._before.get(job.run_id, 0))

    @property
    def all_epochs_made(self) -> float:
        """Epochs that the command has trained in all runs. A finished run counts in full."""
        return self._epochs_ended + sum(self.epochs_made(each.job) for each in self.running.values())

    def _waiting_key(self, job: Job) -> tuple[RunShape, float]:
        """Shape of a job, and the fraction of its epochs that is to make."""
        return self._run_seconds.shape(job.settings), self.epochs_to_make(job) / job.settings.epochs

    def seconds_left(self) -> float | None:
        """Seconds until all runs end, at the concurrency seen so far. None before any measurement."""
        if not self._run_seconds.is_measured:
            return None
        per_run = self._run_seconds.seconds_per_run
        waiting = sum(number * share * per_run(shape) for (shape, share), number in self._waiting.items())
        running = [self._run_seconds_left(each) for each in self.running.values()]
        return max([(waiting + sum(running)) / self._concurrent, *running])

    def _run_seconds_left(self, run: _ActiveRun) -> float:
        seconds = self._run_seconds.seconds_per_run(self._run_seconds.shape(run.job.settings))
        return seconds * max(0.0, run.job.last_epoch - run.epoch) / run.job.settings.epochs

    def run_time_left(self, job: Job) -> str:
        """`12 s left` of an active run. Empty before any measurement."""
        active = self.running.get(job.run_id)
        if active is None or not self._run_seconds.is_measured:
            return ""
        return f"{progress_time(self._run_seconds_left(active))} left"

    def parts(self) -> list[str]:
        """Parts of the state, most important first: runs, times, best accuracy, counts.

        Example: `12/320 runs`, `4 min elapsed, 80 min left`, `best validation 0.534`, `2 running, 1 failed`.
        """
        parts = [f"{self.ended:,}/{self.total:,} run{'s' * (self.total != 1)}", self._times()]
        if self.best is not None:
            parts.append(f"best {self.best[0]}")
        numbers = ((len(self.running), "running"), (self.failed, "failed"), (self.diverged, "diverged"),
                   (self.held, "held by other commands"))  # fmt: skip
        if counts := ", ".join(f"{number:,} {word}" for number, word in numbers if number):
            parts.append(counts)
        return parts

    def _times(self) -> str:
        elapsed = f"{progress_time(time.monotonic() - self._started)} elapsed"
        return ", ".join(filter(None, (elapsed, self.time_left())))

    def time_left(self) -> str:
        """`80 min left`. Empty before any measurement and after the last run."""
        seconds = self.seconds_left() if self.ended < self.total else None
        return "" if seconds is None else f"{progress_time(seconds)} left"

    def words(self) -> str:
        """All parts in one line."""
        return " · ".join(self.parts())
