"""How a command shows its work: plain lines here, live bars in `live_bars`, nothing in a notebook's call."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import IO, Any, Protocol

from cifar_lab.plan import Job, PlannedRun
from cifar_lab.safe_text import plain

MANY_RUNS = 20
"""From here on plain output gives a line a run and not a line an epoch."""


class Display(Protocol):
    """Who is told how making runs goes."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Data is being prepared."""

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        """This is the plan."""

    def event(self, job: Job, event: dict[str, Any]) -> None:
        """Something happened to a run."""

    def end(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing."""

    def preparing(self, what: str, done: int, total: int) -> None: ...

    def begin(self, planned: Sequence[PlannedRun]) -> None: ...

    def event(self, job: Job, event: dict[str, Any]) -> None: ...

    def end(self) -> None: ...


def plan_line(planned: Sequence[PlannedRun]) -> str:
    """How many runs there are to make and how many are there already, in words."""
    states = [run.state for run in planned]
    count = {state: states.count(state) for state in ("done", "untested", "interrupted", "missing")}
    parts = [
        f"{count['done']} there already" if count["done"] else "",
        f"{count['missing']} to train" if count["missing"] else "",
        f"{count['interrupted']} to go on with" if count["interrupted"] else "",
        f"{count['untested']} to test" if count["untested"] else "",
    ]
    runs = "1 run" if len(planned) == 1 else f"{len(planned)} runs"
    return f"{runs}: {', '.join(part for part in parts if part)}"


def outcome_line(event: dict[str, Any]) -> str:
    """How a run ended, in words."""
    words = {"done": "done", "diverged": "diverged", "failed": "failed", "interrupted": "stopped"}[event["status"]]
    return f"{words}: {plain(event['reason'])}" if event["reason"] else words


class PlainLines:
    """A line an epoch (or a run, where there are many) for logs, pipes and files."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._total = self._ended = 0
        self._last_prepared = 0.0

    def preparing(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._last_prepared > 5:
            self._last_prepared = now
            self._say(f"{what}: {100 * done // max(total, 1)} %")

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._total = sum(run.state != "done" for run in planned)
        self._say(plan_line(planned))

    def event(self, job: Job, event: dict[str, Any]) -> None:
        name, kind = plain(job.name), event["event"]
        if kind == "outcome":
            self._ended += 1
            self._say(f"[{self._ended}/{self._total}] {name}: {outcome_line(event)}")
        elif kind == "resumed":
            self._say(f"{name}: goes on after epoch {event['epoch']}")
        elif kind == "epoch" and self._total <= MANY_RUNS:
            where = f"epoch {event['epoch']}/{job.settings.epochs}"
            self._say(f"{name}: {where}, {numbers(event)}, {event['seconds']:.1f} s")

    def end(self) -> None: ...

    def _say(self, line: str) -> None:
        say(line, self._stream)


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print a line; a reader that went away (`| head`) does not end the work."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(line, file=stream or sys.stdout, flush=True)


def numbers(event: dict[str, Any]) -> str:
    """The epoch's numbers, validation where there is some."""
    text = f"loss {event['train_loss']:.3f}, accuracy {event['train_accuracy']:.3f}"
    if event["val_accuracy"] is not None:
        text += f", validation {event['val_accuracy']:.3f}"
    return text
