"""Progress of a command as plain lines, for logs, pipes and files. `live` shows bars on a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import IO

from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import count, in_words, plain, printable
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    RetryScheduled,
    RunOutcome,
    RunResumed,
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
    words = {"done": "there already", "missing": "to train", "interrupted": "to go on with", "untested": "to test"}
    counts = [f"{states.count(state):,} {word}" for state, word in words.items() if state in states]
    failed = sum(run.failure is not None for run in planned)
    counts += [f"{failed:,} of them failed before"] if failed else []
    return f"{count(len(planned), 'run')}: {', '.join(counts)}"


def outcome_line(event: RunOutcome, *, score: bool) -> str:
    """Outcome of a run in words. With `score`, its accuracy is included."""
    words = {"interrupted": "stopped"}.get(event.status, event.status)
    for split, accuracy in (("test", event.test_accuracy), ("validation", event.val_accuracy)):
        if score and accuracy is not None:
            return f"{words}, {split} {accuracy:.4f}"
    return f"{words}: {plain(event.reason)}" if event.reason else words


def trouble_line(event: Event) -> str | None:
    """Warning about a run that continues: a retry or a quiet worker. None for other events."""
    if isinstance(event, RetryScheduled):
        how = ", with nothing beside it when the others have ended" if event.alone else ""
        return f"{plain(event.reason)}; try {event.attempt} goes on from its last epoch{how}"
    if isinstance(event, WorkerQuiet):
        return (
            f"nothing heard for {in_words(event.seconds)} (process {event.pid}); it may be a long step, "
            "or stuck: --run-timeout ends such runs"
        )
    return None


class PlainLines:
    """Display with a line per epoch, or per run where there are many."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
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
        name = plain(job.name)
        self._state.event(job, event)
        match event:
            case RunOutcome():
                line = outcome_line(event, score=self._state.total > MANY_RUNS)  # else its last epoch has told
                self._say(f"[{self._state.ended}/{self._state.total}] {name}: {line}")
                self._tell_standing()
            case DeviceChosen() if (line := device_line(event)) not in self._devices:
                self._devices.add(line)
                self._say(line)
            case RunResumed():
                self._say(f"{name}: goes on after epoch {event.epoch}")
            case EpochCompleted() if self._state.total <= MANY_RUNS:
                where = f"epoch {event.epoch}/{job.settings.epochs}"
                self._say(f"{name}: {where}, {numbers(event)}, {event.seconds:.1f} s")
            case _ if (trouble := trouble_line(event)) is not None:
                self._say(f"{name}: {trouble}")

    def end(self) -> None: ...

    def _tell_standing(self) -> None:
        now, state = time.monotonic(), self._state
        if state.ended < state.total and now - self._standing_told >= STANDING_SECONDS:
            self._standing_told = now
            best = f"; the best is {state.best[2]}" if state.best is not None else ""
            self._say(f"{state.words()}{best}")

    def _say(self, line: str) -> None:
        # A log that is full costs lines, not runs.
        with contextlib.suppress(OSError):
            say(line, self._stream)


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print lines without control characters. A closed pipe (`| head`) does not end the work."""
    try:
        print(printable(line), file=stream or sys.stdout, flush=True)
    except BrokenPipeError:
        ignore_output()
    except ValueError:  # the stream is closed
        return


def device_line(event: DeviceChosen) -> str:
    """Line on the device and the number of threads of a run."""
    return f"device: {event.device}, {count(event.threads, 'CPU thread')} a run"


def numbers(event: EpochCompleted) -> str:
    """Metrics of an epoch in words, with the validation accuracy if there is one."""
    text = f"loss {event.train_loss:.3f}, accuracy {event.train_accuracy:.3f}"
    if event.val_accuracy is not None:
        text += f", validation {event.val_accuracy:.3f}"
    return text
