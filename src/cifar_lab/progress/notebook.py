"""Progress in a notebook: one output that is updated, with a bar per active run. Needs nothing but IPython."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from html import escape
from importlib import import_module
from typing import Any

from cifar_lab.core.text import plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import outcome_line, plan_line, trouble_line
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.events import Event, RunOutcome
from cifar_lab.training.job import Job

UPDATE_SECONDS = 0.25
"""Least time between updates."""

MOST_BARS = 8
MOST_LINES = 20
"""Lines on failures and retries that are kept."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookBars:
    """Display with a bar of all runs and one per active run."""

    def __init__(self) -> None:
        self._state = ProgressState(())
        self._head = ""
        self._lines: list[str] = []
        self._handle: Any = None
        self._shown_at = 0.0

    def preparing(self, what: str, done: int, total: int) -> None:
        self._head = f"{plain(what)}: {100 * done // total} %" if total else plain(what)
        self._show()

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._state, self._head = ProgressState(planned), plan_line(planned)
        self._show(now=True)

    def event(self, job: Job, event: Event) -> None:
        last = self._state.last_score(job)
        self._state.event(job, event)
        if isinstance(event, RunOutcome) and event.status != "done":
            self._lines.append(f"{plain(job.name)}: {outcome_line(event, last)}")
        elif (trouble := trouble_line(event)) is not None:
            self._lines.append(f"{plain(job.name)}: {trouble}")
        self._show(now=isinstance(event, RunOutcome))

    def end(self) -> None:
        self._show(now=True)

    def _show(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._shown_at < UPDATE_SECONDS:
            return
        self._shown_at = time.monotonic()
        ipython: Any = import_module("IPython.display")
        page = ipython.HTML(self.html())
        if self._handle is None:
            self._handle = ipython.display(page, display_id=True)
        else:
            self._handle.update(page)

    def html(self) -> str:
        """The output at this moment."""
        state = self._state
        parts = [f"<div>{escape(self._head)}</div>"]
        if state.total:
            parts.append(_bar("all runs", state.all_epochs_made, state.epochs, state.words()))
        for run in list(state.running.values())[:MOST_BARS]:
            epochs = run.job.settings.epochs
            words = f"epoch {min(epochs, int(run.epoch) + 1)}/{epochs}" + (f" · {run.score}" if run.score else "")
            parts.append(_bar(plain(run.job.name), run.epoch, epochs, words))
        parts += [f"<div>{escape(line)}</div>" for line in self._lines[-MOST_LINES:]]
        return "".join(parts)


def _bar(name: str, done: float, total: float, words: str) -> str:
    return (
        f'<div><progress value="{done:.3f}" max="{max(total, 0.001):.3f}" style="width: 12em"></progress> '
        f"{escape(name)} · {escape(words)}</div>"
    )
