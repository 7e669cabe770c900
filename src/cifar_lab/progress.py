"""How a command shows its work: plain lines here, live bars in `live_bars`, nothing in a notebook's call."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import IO, Any, Protocol

from cifar_lab.pipes import ignore_output
from cifar_lab.plan import Job, PlannedRun
from cifar_lab.safe_text import plain

PREPARING_SECONDS = 5.0
"""Between two plain lines on the same part of preparing data."""

MANY_RUNS = 20
"""From here on plain output gives a line a run and not a line an epoch."""


class Display(Protocol):
    """Who is told how making runs goes."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Data is being prepared; `total` is 0 where it is not known."""

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
    words = {"done": "there already", "missing": "to train", "interrupted": "to go on with", "untested": "to test"}
    parts = [f"{states.count(state):,} {word}" for state, word in words.items() if state in states]
    return f"{count(len(planned), 'run')}: {', '.join(parts)}"


def outcome_line(event: dict[str, Any]) -> str:
    """How a run ended, in words."""
    words = {"interrupted": "stopped"}.get(event["status"], event["status"])
    return f"{words}: {plain(event['reason'])}" if event["reason"] else words


class PlainLines:
    """A line an epoch (or a run, where there are many) for logs, pipes and files."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._total = self._ended = 0
        self._prepared = ("", 0.0)
        self._devices: set[str] = set()

    def preparing(self, what: str, done: int, total: int) -> None:
        before, when = self._prepared
        now = time.monotonic()
        if what != before or (total and done >= total) or now - when > PREPARING_SECONDS:
            self._prepared = (what, now)
            self._say(f"{plain(what)}: {100 * done // total} %" if total else plain(what))

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._total = sum(run.state != "done" for run in planned)
        self._ended = 0
        self._say(plan_line(planned))

    def event(self, job: Job, event: dict[str, Any]) -> None:
        name, kind = plain(job.name), event["event"]
        if kind == "outcome":
            self._ended += 1
            self._say(f"[{self._ended}/{self._total}] {name}: {outcome_line(event)}")
        elif kind == "device":
            line = device_line(event)
            if line not in self._devices:
                self._devices.add(line)
                self._say(line)
        elif kind == "resumed":
            self._say(f"{name}: goes on after epoch {event['epoch']}")
        elif kind == "epoch" and self._total <= MANY_RUNS:
            where = f"epoch {event['epoch']}/{job.settings.epochs}"
            self._say(f"{name}: {where}, {numbers(event)}, {event['seconds']:.1f} s")

    def end(self) -> None: ...

    def _say(self, line: str) -> None:
        # A log that is full costs lines, not runs.
        with contextlib.suppress(OSError):
            say(line, self._stream)


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print a line; a reader that went away (`| head`) does not end the work."""
    try:
        print(line, file=stream or sys.stdout, flush=True)
    except BrokenPipeError:
        ignore_output()
    except ValueError:  # the stream is closed
        return


def device_line(event: dict[str, Any]) -> str:
    """What `device: auto` and `threads: auto` came to."""
    return f"device: {event['device']}, {count(event['threads'], 'CPU thread')} a run"


def count(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def numbers(event: dict[str, Any]) -> str:
    """The epoch's numbers, validation where there is some."""
    text = f"loss {event['train_loss']:.3f}, accuracy {event['train_accuracy']:.3f}"
    if event["val_accuracy"] is not None:
        text += f", validation {event['val_accuracy']:.3f}"
    return text
