"""How a command shows its work: plain lines here, live bars in `live_bars`, nothing in a notebook's call."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import IO, Any

from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import count, in_words, plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.job import Job

PREPARING_SECONDS = 5.0
"""Between two plain lines on the same part of preparing data."""

STANDING_SECONDS = 30.0
"""Between two plain lines on how the whole command stands."""

MANY_RUNS = 20
"""From here on plain output gives a line a run and not a line an epoch."""


def plan_line(planned: Sequence[PlannedRun]) -> str:
    """How many runs there are to make and how many are there already, in words."""
    states = [run.state for run in planned]
    words = {"done": "there already", "missing": "to train", "interrupted": "to go on with", "untested": "to test"}
    parts = [f"{states.count(state):,} {word}" for state, word in words.items() if state in states]
    given_up = sum(run.failure is not None for run in planned)
    parts += [f"{given_up:,} of them failed before"] if given_up else []
    return f"{count(len(planned), 'run')}: {', '.join(parts)}"


def outcome_line(event: dict[str, Any], *, score: bool) -> str:
    """How a run ended, in words; with `score` also how well it did."""
    words = {"interrupted": "stopped"}.get(event["status"], event["status"])
    for split, key in (("test", "test_accuracy"), ("validation", "val_accuracy")):
        if score and (accuracy := event.get(key)) is not None:
            return f"{words}, {split} {accuracy:.4f}"
    return f"{words}: {plain(event['reason'])}" if event["reason"] else words


def trouble_line(event: dict[str, Any]) -> str | None:
    """What a person should know of a run that goes on all the same; None for other events."""
    if event["event"] == "retry":
        how = ", with nothing beside it when the others have ended" if event["alone"] else ""
        return f"{plain(event['reason'])}; try {event['attempt']} goes on from its last epoch{how}"
    if event["event"] == "quiet":
        return (
            f"nothing heard for {in_words(event['seconds'])} (process {event['pid']}); it may be a long step, "
            "or stuck: --run-timeout ends such runs"
        )
    return None


class PlainLines:
    """A line an epoch (or a run, where there are many) for logs, pipes and files."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._tally = ProgressState(())
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
        self._tally = ProgressState(planned)
        self._standing_told = time.monotonic()
        self._say(plan_line(planned))

    def event(self, job: Job, event: dict[str, Any]) -> None:
        name, kind = plain(job.name), event["event"]
        self._tally.event(job, event)
        if kind == "outcome":
            line = outcome_line(event, score=self._tally.total > MANY_RUNS)  # else its last epoch has told
            self._say(f"[{self._tally.ended}/{self._tally.total}] {name}: {line}")
            self._tell_standing()
        elif kind == "device":
            line = device_line(event)
            if line not in self._devices:
                self._devices.add(line)
                self._say(line)
        elif kind == "resumed":
            self._say(f"{name}: goes on after epoch {event['epoch']}")
        elif (trouble := trouble_line(event)) is not None:
            self._say(f"{name}: {trouble}")
        elif kind == "epoch" and self._tally.total <= MANY_RUNS:
            where = f"epoch {event['epoch']}/{job.settings.epochs}"
            self._say(f"{name}: {where}, {numbers(event)}, {event['seconds']:.1f} s")

    def end(self) -> None: ...

    def _tell_standing(self) -> None:
        now, tally = time.monotonic(), self._tally
        if tally.ended < tally.total and now - self._standing_told >= STANDING_SECONDS:
            self._standing_told = now
            best = f"; the best is {tally.best[2]}" if tally.best is not None else ""
            self._say(f"{tally.words()}{best}")

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


def numbers(event: dict[str, Any]) -> str:
    """The epoch's numbers, validation where there is some."""
    text = f"loss {event['train_loss']:.3f}, accuracy {event['train_accuracy']:.3f}"
    if event["val_accuracy"] is not None:
        text += f", validation {event['val_accuracy']:.3f}"
    return text
