"""Progress of a command as plain lines on standard error, for logs, pipes and files.

`live` shows bars on a terminal. Results go to standard output, so that a pipe holds nothing else.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import IO

from cifar_lab.core.terminal import say
from cifar_lab.core.text import count, in_words, plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.progress_state import ProgressState, Score, outcome_score
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    ModelOutput,
    RetryScheduled,
    RunOutcome,
    RunResumed,
    RunsAwaited,
    WorkerQuiet,
)
from cifar_lab.training.job import Job

PREPARING_SECONDS = 5.0
"""Time between lines on the same step of data preparation."""

STANDING_SECONDS = 30.0
"""Least time between lines on the whole command."""

MANY_RUNS = 20
"""Above this number of runs, lines are per run and not per epoch."""


def plan_line(planned: Sequence[PlannedRun]) -> str:
    """Line on the runs of a plan, by state."""
    states = [run.state for run in planned]
    words = {"done": "already done", "missing": "to train", "interrupted": "to resume", "untested": "to test"}
    counts = [f"{states.count(state):,} {word}" for state, word in words.items() if state in states]
    failed = sum(run.failure is not None for run in planned)
    counts += [f"{failed:,} of these failed before"] if failed else []
    return f"{count(len(planned), 'run')}: {', '.join(counts)}"


def outcome_line(event: RunOutcome, last: Score | None) -> str:
    """Outcome of a run in words, with its reason or its accuracy.

    Args:
        last: score of its last epoch, for a run without a validation split.
    """
    words = {"interrupted": "stopped", "held": "skipped"}.get(event.status, event.status)
    if event.elsewhere:
        words += " by another command"
    if event.reason:
        return f"{words}: {plain(event.reason)}"
    score = outcome_score(event) or last
    return words if score is None else f"{words}, {score.split} accuracy {score.accuracy:.4f}"


def trouble_line(event: Event) -> str | None:
    """Line about a run that continues: a retry, a wait, a quiet worker, output of its model. None for other events."""
    if isinstance(event, ModelOutput):
        return f"output of its model: {plain(event.text)}"
    if isinstance(event, RetryScheduled):
        how = ", alone, after the other runs have ended" if event.alone else ""
        return f"{plain(event.reason)}; attempt {event.attempt} resumes from its last epoch{how}"
    if isinstance(event, RunsAwaited):
        others = f" and for {count(event.runs - 1, 'other run')}" if event.runs > 1 else ""
        return f"held by {plain(event.holder)}; waiting for it{others}"
    if isinstance(event, WorkerQuiet):
        return (
            f"no progress for {in_words(event.seconds)} (process {event.pid}); the step may be long, or the process "
            "may be stuck: use --run-timeout to end such runs"
        )
    return None


class PlainLines:
    """Display with a line per epoch, or per run where there are many."""

    def __init__(self, stream: IO[str] | None = None, *, every_epoch: bool = False) -> None:
        """`every_epoch`: a line per epoch also for many runs."""
        self._stream = stream or sys.stderr
        self._every_epoch = every_epoch
        self._state = ProgressState(())
        self._standing_told = time.monotonic()
        self._prepared = ("", 0.0)
        self._devices: set[str] = set()

    def preparing(self, what: str, done: int, total: int) -> None:
        before, when = self._prepared
        now = time.monotonic()
        if what != before or (total and done >= total) or now - when > PREPARING_SECONDS:
            self._prepared = (what, now)
            self._say(f"{plain(what)}: {100 * done // total} %" if total else plain(what))

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._state = ProgressState(planned)
        self._standing_told = time.monotonic()
        self._say(plan_line(planned))

    def event(self, job: Job, event: Event) -> None:
        name, last = plain(job.name), self._state.last_score(job)
        self._state.event(job, event)
        match event:
            case RunOutcome():
                left = f" · {time_left}" if (time_left := self._state.time_left()) else ""
                self._say(f"[{self._state.ended}/{self._state.total}] {name}: {outcome_line(event, last)}{left}")
                self._tell_standing()
            case DeviceChosen() if (line := device_line(event)) not in self._devices:
                self._devices.add(line)
                self._say(line)
            case RunResumed():
                self._say(f"{name}: resumes after epoch {event.epoch}")
            case EpochCompleted() if self._every_epoch or self._state.total <= MANY_RUNS:
                where = f"epoch {event.epoch}/{job.settings.epochs}"
                self._say(f"{name}: {where}, {numbers(event)}, {event.seconds:.1f} s")
                self._tell_standing()
            case EpochCompleted():
                self._tell_standing()
            case _ if (trouble := trouble_line(event)) is not None:
                self._say(f"{name}: {trouble}")

    def end(self) -> None: ...

    def _tell_standing(self) -> None:
        now, state = time.monotonic(), self._state
        if state.ended < state.total and now - self._standing_told >= STANDING_SECONDS:
            self._standing_told = now
            best = f": {state.best[1]}" if state.best is not None else ""
            self._say(" · ".join(part + best * part.startswith("best") for part in state.parts()))

    def _say(self, line: str) -> None:
        # A log that is full costs lines, not runs.
        with contextlib.suppress(OSError):
            say(line, self._stream)


class FailureLines:
    """Display with a line per run that failed or diverged, and nothing else."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr

    def preparing(self, what: str, done: int, total: int) -> None: ...

    def begin(self, planned: Sequence[PlannedRun]) -> None: ...

    def event(self, job: Job, event: Event) -> None:
        if isinstance(event, RunOutcome) and event.status in ("failed", "diverged"):
            with contextlib.suppress(OSError):
                say(f"{plain(job.name)}: {outcome_line(event, None)}", self._stream)

    def end(self) -> None: ...


def device_line(event: DeviceChosen) -> str:
    """Line on the device and the number of threads of a run."""
    return f"device: {event.device}, {count(event.threads, 'CPU thread')} per run"


def numbers(event: EpochCompleted) -> str:
    """Metrics of an epoch in words."""
    text = f"loss {event.train_loss:.3f}, training accuracy {event.train_accuracy:.3f}"
    if event.val_accuracy is not None:
        text += f", validation accuracy {event.val_accuracy:.3f}"
    return text
