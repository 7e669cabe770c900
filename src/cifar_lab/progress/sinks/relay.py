"""Relay of events to a display and to mirrors. A thread serves the mirrors, so that a slow one delays no run."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from cifar_lab.core.errors import SettingsError
from cifar_lab.core.extras import require_extra
from cifar_lab.core.terminal import say
from cifar_lab.core.text import plain
from cifar_lab.execution.context import Display
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.sinks.mlflow import MlflowMirror
from cifar_lab.progress.sinks.tensorboard import TensorBoardMirror
from cifar_lab.progress.sinks.wandb import WandbMirror
from cifar_lab.training.events import EpochCompleted, Event, RunOutcome
from cifar_lab.training.job import Job

END_SECONDS = 30.0
"""Longest wait for the mirrors after the last run."""

SQLITE = "sqlite:///"

NAMES: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard", "mlflow", "wandb")
"""Tools, each with an extra of its name."""


class Mirror(Protocol):
    """Interface of a mirror. An exception ends the mirror alone."""

    name: str

    def event(self, job: Job, event: EpochCompleted | RunOutcome) -> None:
        """Record the end of an epoch or of a run."""

    def close(self) -> None:
        """Flush and close."""


def _complain(line: str) -> None:
    say(f"cifar-lab: {line}", sys.stderr)


class Mirrored:
    """Display that forwards epochs and outcomes to mirrors."""

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
                self._complain(f"mirror {names}: is not complete after {END_SECONDS:.0f} s; the rest is not copied")
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
            self._complain(
                f"mirror {mirror.name}: stopped ({reason}); the runs continue and their records are complete"
            )


def mirrors_of(words: Sequence[str], results: Path) -> list[Mirror]:
    """Mirrors of the words `tensorboard`, `wandb`, `mlflow` (a database in `results`), `mlflow:FILE`.

    `mlflow:sqlite:///FILE` is the same as `mlflow:FILE`.

    Raises:
        SettingsError: every word that is unknown or names a server.
        MissingExtraError: a package is not installed.
    """
    problems: list[str] = []
    found: dict[str, Mirror] = {}
    for word in words:
        kind, _, where = word.partition(":")
        if kind not in NAMES or (kind != "mlflow" and where):
            problems.append(f"--mirror: {word!r} is not one of: tensorboard, wandb, mlflow, mlflow:FILE.db")
        elif "://" in where.removeprefix(SQLITE):
            problems.append(
                f"--mirror: {word!r} is not an SQLite file; servers are not supported, write mlflow:FILE.db"
            )
        elif kind == "tensorboard":
            found[kind] = TensorBoardMirror()
        elif kind == "wandb":
            found[kind] = WandbMirror(results)
        else:
            file = Path(where.removeprefix(SQLITE)) if where.removeprefix(SQLITE) else results / "mlflow.db"
            found[f"{kind} {file.absolute()}"] = MlflowMirror(file.absolute())
    if problems:
        raise SettingsError("; ".join(dict.fromkeys(problems)))
    for name in NAMES:
        if any(key.partition(" ")[0] == name for key in found):
            require_extra(name, f"--mirror {name}")
    return list(found.values())
