"""How a command stands: runs done, under way and failed, the best so far, and how long the rest will take.

Of each run what this command makes counts: the epochs that it asks for, less those that were there before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.core.text import in_words, plain
from cifar_lab.execution.pace import Pace, Shape
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.training.job import Job


@dataclass
class _UnderWay:
    """A run that is being trained."""

    job: Job
    epoch: float
    """That it has reached, with a part of the present one."""


class ProgressState:
    """Counts the events of one plan."""

    def __init__(self, planned: Sequence[PlannedRun]) -> None:
        to_do = [run.job for run in planned if run.state != "done"]
        self._before = {run.job.run_id: run.epochs for run in planned if run.epochs}
        self.total = len(to_do)
        self.epochs = sum(self.epochs_to_make(job) for job in to_do)
        """Of all runs, to make."""
        self._epochs_ended = 0
        self.ended = self.failed = self.diverged = 0
        self.best: tuple[float, str, str] | None = None
        """(accuracy, `validation` or `test`, name) of the best run, those that were there already included."""
        self.running: dict[str, _UnderWay] = {}
        self._pace = Pace(planned)
        self._waiting: Counter[tuple[Shape, float]] = Counter(self._part(job) for job in to_do)
        self._side_by_side = 1
        for run in planned:
            if run.state == "done" and run.record is not None:
                score = run.record.test if run.job.read_test else run.record.val
                self._consider(run.job, None if score is None else score.accuracy)

    def event(self, job: Job, event: dict[str, Any]) -> None:
        """Take in what an engine tells of a run."""
        kind = event["event"]
        if kind == "outcome":
            self._end(job, event)
        elif kind == "retry":
            if self.running.pop(job.run_id, None) is not None:
                self._waiting[self._part(job)] += 1
        elif kind in ("device", "resumed", "step", "epoch"):
            self._move(job, event)

    def _move(self, job: Job, event: dict[str, Any]) -> None:
        under_way = self.running.get(job.run_id)
        if under_way is None:
            under_way = self.running[job.run_id] = _UnderWay(job, self._before.get(job.run_id, 0))
            self._waiting[self._part(job)] -= 1
            self._side_by_side = max(self._side_by_side, len(self.running))
        if event["event"] in ("resumed", "epoch"):
            under_way.epoch = event["epoch"]
        elif event["event"] == "step":
            under_way.epoch = event["epoch"] - 1 + event["step"] / event["steps"]
        if event["event"] == "epoch":
            self._pace.learn(job.settings, event["seconds"] * job.settings.epochs)

    def _end(self, job: Job, event: dict[str, Any]) -> None:
        self.ended += 1
        self.failed += event["status"] == "failed"
        self.diverged += event["status"] == "diverged"
        if self.running.pop(job.run_id, None) is None:
            self._waiting[self._part(job)] -= 1
        if event["status"] != "interrupted":
            self._epochs_ended += self.epochs_to_make(job)
        if event["status"] == "done":
            self._consider(job, event.get("test_accuracy" if job.read_test else "val_accuracy"))

    def _consider(self, job: Job, accuracy: float | None) -> None:
        if accuracy is not None and (self.best is None or accuracy > self.best[0]):
            self.best = accuracy, "test" if job.read_test else "validation", plain(job.name)

    def epochs_to_make(self, job: Job) -> int:
        """Epochs that the command trains of a run."""
        return max(0, job.last_epoch - self._before.get(job.run_id, 0))

    def epochs_made(self, job: Job) -> float:
        """What of them a run under way has, with a part of the present epoch."""
        under_way = self.running.get(job.run_id)
        return 0.0 if under_way is None else max(0.0, under_way.epoch - self._before.get(job.run_id, 0))

    @property
    def all_epochs_made(self) -> float:
        """Of all runs; those of a run that has ended for good count whole."""
        return self._epochs_ended + sum(self.epochs_made(each.job) for each in self.running.values())

    def _part(self, job: Job) -> tuple[Shape, float]:
        """What kind of run a job is, and the share of a whole run that is to make."""
        return self._pace.shape(job.settings), self.epochs_to_make(job) / job.settings.epochs

    def seconds_left(self) -> float | None:
        """Until all runs have ended, with as many side by side as there were; None before anything was measured."""
        if not self._pace.measured:
            return None
        waiting = sum(number * share * self._pace.seconds(shape) for (shape, share), number in self._waiting.items())
        running = [
            self._pace.seconds(self._pace.shape(each.job.settings))
            * max(0.0, each.job.last_epoch - each.epoch)
            / each.job.settings.epochs
            for each in self.running.values()
        ]
        return max([(waiting + sum(running)) / self._side_by_side, *running])

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
