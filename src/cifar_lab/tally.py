"""How a command stands: runs done, under way and failed, the best so far, and how long the rest will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.durations import in_words
from cifar_lab.pace import Pace, Shape
from cifar_lab.plan import Job, PlannedRun
from cifar_lab.safe_text import plain


@dataclass
class _UnderWay:
    """A run that is being trained."""

    job: Job
    epochs_done: float = 0.0


class Tally:
    """Counts the events of one plan."""

    def __init__(self, planned: Sequence[PlannedRun]) -> None:
        to_do = [run.job for run in planned if run.state != "done"]
        self.total = len(to_do)
        self.ended = self.failed = self.diverged = 0
        self.best: tuple[float, str, str] | None = None
        """(accuracy, `validation` or `test`, name) of the best run, those that were there already included."""
        self.running: dict[str, _UnderWay] = {}
        self._pace = Pace(planned)
        self._waiting: Counter[Shape] = Counter(self._pace.shape(job.settings) for job in to_do)
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
                self._waiting[self._pace.shape(job.settings)] += 1
        elif kind in ("device", "resumed", "step", "epoch"):
            self._move(job, event)

    def _move(self, job: Job, event: dict[str, Any]) -> None:
        under_way = self.running.get(job.run_id)
        if under_way is None:
            under_way = self.running[job.run_id] = _UnderWay(job)
            self._waiting[self._pace.shape(job.settings)] -= 1
            self._side_by_side = max(self._side_by_side, len(self.running))
        if event["event"] in ("resumed", "epoch"):
            under_way.epochs_done = event["epoch"]
        elif event["event"] == "step":
            under_way.epochs_done = event["epoch"] - 1 + event["step"] / event["steps"]
        if event["event"] == "epoch":
            self._pace.learn(job.settings, event["seconds"] * job.settings.epochs)

    def _end(self, job: Job, event: dict[str, Any]) -> None:
        self.ended += 1
        self.failed += event["status"] == "failed"
        self.diverged += event["status"] == "diverged"
        if self.running.pop(job.run_id, None) is None:
            self._waiting[self._pace.shape(job.settings)] -= 1
        if event["status"] == "done":
            self._consider(job, event.get("test_accuracy" if job.read_test else "val_accuracy"))

    def _consider(self, job: Job, accuracy: float | None) -> None:
        if accuracy is not None and (self.best is None or accuracy > self.best[0]):
            self.best = accuracy, "test" if job.read_test else "validation", plain(job.name)

    def epochs_done(self, job: Job) -> float:
        """Epochs of a run under way, with a part of the present one."""
        under_way = self.running.get(job.run_id)
        return 0.0 if under_way is None else under_way.epochs_done

    def seconds_left(self) -> float | None:
        """Until all runs have ended, with as many side by side as there were; None before anything was measured."""
        if not self._pace.measured:
            return None
        waiting = sum(number * self._pace.seconds(shape) for shape, number in self._waiting.items())
        running = [
            self._pace.seconds(self._pace.shape(each.job.settings)) * (1 - each.epochs_done / each.job.settings.epochs)
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
