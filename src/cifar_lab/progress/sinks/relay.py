"""A display that also tells mirrors, in a thread of its own: a slow or broken mirror keeps no run waiting."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cifar_lab.core.text import plain
from cifar_lab.execution.context import Display
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import say
from cifar_lab.training.events import EpochCompleted, Event, RunOutcome
from cifar_lab.training.job import Job

END_SECONDS = 30.0
"""How long a command waits for its mirrors when all runs have ended."""


class Mirror(Protocol):
    """Who is told of epochs and endings. What it raises ends it, and nothing else."""

    name: str

    def event(self, job: Job, event: EpochCompleted | RunOutcome) -> None:
        """An epoch has ended, or a run has."""

    def close(self) -> None:
        """Nothing more will come."""


def _complain(line: str) -> None:
    say(f"cifar-lab: {line}", sys.stderr)


class Mirrored:
    """The display, and mirrors beside it."""

    def __init__(
        self, display: Display, mirrors: Sequence[Mirror], complain: Callable[[str], object] = _complain
    ) -> None:
        self._display, self._mirrors, self._complain = display, list(mirrors), complain
        self._waiting: queue.SimpleQueue[tuple[Job, EpochCompleted | RunOutcome] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def preparing(self, what: str, done: int, total: int) -> None:
        self._display.preparing(what, done, total)

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._display.begin(planned)
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell_mirrors, daemon=True)
            self._thread.start()

    def event(self, job: Job, event: Event) -> None:
        self._display.event(job, event)
        if isinstance(event, EpochCompleted | RunOutcome):
            self._waiting.put((job, event))

    def end(self) -> None:
        self._display.end()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(END_SECONDS)
            if self._thread.is_alive():
                names = ", ".join(mirror.name for mirror in self._mirrors)
                self._complain(f"mirror {names}: has not taken in everything after {END_SECONDS:.0f} s and is left so")
            self._thread = None

    def _tell_mirrors(self) -> None:
        while (heard := self._waiting.get()) is not None:
            for mirror in list(self._mirrors):
                self._try(mirror, mirror.event, *heard)
        for mirror in list(self._mirrors):
            self._try(mirror, mirror.close)

    def _try(self, mirror: Mirror, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception as error:
            self._mirrors.remove(mirror)
            reason = plain(f"{type(error).__name__}: {error}")[:300]
            self._complain(f"mirror {mirror.name}: stops here ({reason}); the runs go on, their records are whole")
