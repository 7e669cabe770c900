"""State of a command: runs by status, the best accuracy and the remaining time.

Epochs of a run that existed before the command do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.core.text import in_words, plain
from cifar_lab.execution.cost import RunSeconds, RunShape
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    RetryScheduled,
    RunOutcome,
    RunResumed,
    StepCompleted,
)
from cifar_lab.training.job import Job


@dataclass
class _UnderWay:
    """A run in training."""

    job: Job
    epoch: float
    """Epochs trained, with a fraction of the current one."""


class ProgressState:
    """Counts the events of one plan."""

    def __init__(self, planned: Sequence[PlannedRun]) -> None:
        to_do = [run.job for run in planned if run.state != "done"]
        self._before = {run.job.run_id: run.epochs for run in planned if run.epochs}
        self.total = len(to_do)
        self.epochs = sum(self.epochs_to_make(job) for job in to_do)
        """Epochs to make in all runs."""
        self._epochs_ended = 0
        self.ended = self.failed = self.diverged = 0
        self.best: tuple[float, str, str] | None = None
        """(accuracy, `validation` or `test`, name) of the best run, including runs of earlier commands."""
        self.running: dict[str, _UnderWay] = {}
        self._run_seconds = RunSeconds(planned)
        self._waiting: Counter[tuple[RunShape, float]] = Counter(self._waiting_key(job) for job in to_do)
        self._concurrent = 1
        for run in planned:
            if run.state == "done" and run.record is not None:
                score = run.record.test if run.job.read_test else run.record.val
                self._consider(run.job, None if score is None else score.accuracy)

    def event(self, job: Job, event: Event) -> None:
        """Update the state by an event of a run."""
        match event:
            case RunOutcome():
                self._end(job, event)
            case RetryScheduled():
                if self.running.pop(job.run_id, None) is not None:
                    self._waiting[self._waiting_key(job)] += 1
            case DeviceChosen() | RunResumed() | StepCompleted() | EpochCompleted():
                self._move(job, event)

    def _move(self, job: Job, event: DeviceChosen | RunResumed | StepCompleted | EpochCompleted) -> None:
        under_way = self.running.get(job.run_id)
        if under_way is None:
            under_way = self.running[job.run_id] = _UnderWay(job, self._before.get(job.run_id, 0))
            self._waiting[self._waiting_key(job)] -= 1
            self._concurrent = max(self._concurrent, len(self.running))
        match event:
            case RunResumed():
                under_way.epoch = event.epoch
            case StepCompleted():
                under_way.epoch = event.epoch - 1 + event.step / event.steps
            case EpochCompleted():
                under_way.epoch = event.epoch
                self._run_seconds.learn(job.settings, event.seconds * job.settings.epochs)

    def _end(self, job: Job, event: RunOutcome) -> None:
        self.ended += 1
        self.failed += event.status == "failed"
        self.diverged += event.status == "diverged"
        if self.running.pop(job.run_id, None) is None:
            self._waiting[self._waiting_key(job)] -= 1
        if event.status != "interrupted":
            self._epochs_ended += self.epochs_to_make(job)
        if event.status == "done":
            self._consider(job, event.test_accuracy if job.read_test else event.val_accuracy)

    def _consider(self, job: Job, accuracy: float | None) -> None:
        if accuracy is not None and (self.best is None or accuracy > self.best[0]):
            self.best = accuracy, "test" if job.read_test else "validation", plain(job.name)

    def epochs_to_make(self, job: Job) -> int:
        """Epochs that the command trains of a run."""
        return max(0, job.last_epoch - self._before.get(job.run_id, 0))

    def epochs_made(self, job: Job) -> float:
        """Epochs that the command has trained of an active run, with a fraction of the current one."""
        under_way = self.running.get(job.run_id)
        return 0.0 if under_way is None else max(0.0, under_way.epoch - self._before.get(job.run_id, 0))

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
        running = [
            per_run(self._run_seconds.shape(each.job.settings))
            * max(0.0, each.job.last_epoch - each.epoch)
            / each.job.settings.epochs
            for each in self.running.values()
        ]
        return max([(waiting + sum(running)) / self._concurrent, *running])

    def words(self) -> str:
        """`12/320 runs, 2 running, 1 failed · best validation 0.5340 · 1 h 20 min left`."""
        runs = f"{self.ended:,}/{self.total:,} run{'s' * (self.total != 1)}"
        numbers = ((len(self.running), "running"), (self.failed, "failed"), (self.diverged, "diverged"))
        counts = [f"{number:,} {word}" for number, word in numbers if number]
        parts = [", ".join([runs, *counts])]
        if self.best is not None:
            parts.append(f"best {self.best[1]} {self.best[0]:.4f}")
        if self.ended < self.total and (seconds := self.seconds_left()) is not None:
            parts.append(f"{in_words(seconds)} left")
        return " · ".join(parts)
