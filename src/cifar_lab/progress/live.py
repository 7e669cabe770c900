"""Progress on a terminal: a bar per active run, and one for all runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import IO, Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from cifar_lab.core.host import ignore_output
from cifar_lab.core.terminal import SafeConsole
from cifar_lab.core.text import in_words, plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import device_line, numbers, outcome_line, plan_line, trouble_line
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    RetryScheduled,
    RunOutcome,
    RunResumed,
    RunStarted,
    StepCompleted,
)
from cifar_lab.training.job import Job

COLORS = {"done": "green", "paused": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow"}

MOST_BARS = 8
"""Runs with a bar. A cohort on a GPU may have hundreds."""

BAR_WIDTH = 12
"""In columns."""

COUNT_SECONDS = 1.0
"""Between updates of the remaining time."""


def terminal_console() -> Console:
    """Console on standard output that survives a closed terminal."""
    return SafeConsole(file=cast(IO[str], _LiveOutput(sys.stdout)))


class _LiveOutput:
    """Stream of the terminal. Output to a closed terminal is dropped and does not end the runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # sys.stdout is another while bars are shown

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            ignore_output()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            ignore_output()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _TimeLeft(ProgressColumn):
    """Remaining time of a bar, at its speed so far."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"{in_words(left)} left", style="cyan")


class _Bars(Progress):
    """Table of the active runs, and below it the bar of all runs, which may be wider than the table."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table([task for task in self.tasks if not task.fields.get("whole")])
        for task in self.tasks:
            if task.fields.get("whole"):
                line = Table.grid(padding=(0, 1))
                line.add_row(task.description, BarColumn(BAR_WIDTH).render(task), task.fields["state"])
                yield line


class LiveBars:
    """Display with epoch, step, loss, accuracy and remaining time of each active run, and the state of the command."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _Bars(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(BAR_WIDTH),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True)),
            _TimeLeft(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._state = ProgressState(())
        self._all: TaskID | None = None
        self._counted_at = 0.0
        self._devices: set[str] = set()

    def preparing(self, what: str, done: int, total: int) -> None:
        self._progress.start()
        if what not in self._tasks:
            self._clear()
            self._tasks[what] = self._progress.add_task(plain(what), total=total or None, state="")
        self._progress.update(self._tasks[what], completed=done, total=total or None)

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._clear()
        self._print(plan_line(planned))
        self._state, self._counted_at = ProgressState(planned), 0.0
        if self._state.total:
            self._progress.start()
            words = self._state.words()
            self._all = self._progress.add_task("all runs", total=self._state.epochs, state=words, whole=True)

    def event(self, job: Job, event: Event) -> None:
        of = f"/{job.settings.epochs}"
        self._state.event(job, event)
        match event:
            case RunStarted():
                self._describe(job, "starting")
            case DeviceChosen():
                if (line := device_line(event)) not in self._devices:
                    self._devices.add(line)
                    self._print(line)
            case RunResumed(epoch):
                self._describe(job, f"goes on after epoch {epoch}{of}")
            case StepCompleted(epoch, step, steps, loss, accuracy):
                self._describe(job, f"epoch {epoch}{of} step {step}/{steps} loss {loss:.3f} accuracy {accuracy:.3f}")
            case EpochCompleted():
                self._describe(job, f"epoch {event.epoch}{of} {numbers(event)}")
            case RunOutcome():
                self._end_run(job, event)
            case _ if (trouble := trouble_line(event)) is not None:
                self._print(f"{plain(job.name)}: {trouble}", "yellow")
                if isinstance(event, RetryScheduled):
                    self._drop(job)
        self._count()

    def end(self) -> None:
        self._clear()
        self._progress.stop()

    def _clear(self) -> None:
        """Remove every bar."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._tasks, self._all = {}, None

    def _describe(self, job: Job, state: str) -> None:
        """Set the text of a run's bar. Runs beyond MOST_BARS have none."""
        task = self._tasks.get(job.run_id)
        if task is None:
            if len(self._tasks) >= MOST_BARS:
                return
            name = plain(job.name)
            epochs = self._state.epochs_to_make(job)
            task = self._tasks[job.run_id] = self._progress.add_task(name, total=epochs, state=state)
        self._progress.update(task, completed=self._state.epochs_made(job), state=state)

    def _drop(self, job: Job) -> None:
        if (task := self._tasks.pop(job.run_id, None)) is not None:
            self._progress.remove_task(task)

    def _end_run(self, job: Job, event: RunOutcome) -> None:
        self._drop(job)
        self._print(f"{plain(job.name)}: {outcome_line(event, score=True)}", COLORS[event.status])

    def _count(self) -> None:
        """Update the bar of all runs."""
        if self._all is None:
            return
        now = time.monotonic()
        done = self._state.all_epochs_made
        # Not at the end of each run: before a worker starts the next, one too few is active.
        if now - self._counted_at >= COUNT_SECONDS or self._state.ended == self._state.total:
            self._counted_at = now
            self._progress.update(self._all, completed=done, state=self._state.words())
        else:
            self._progress.update(self._all, completed=done)

    def _print(self, line: str, color: str = "none") -> None:
        """Print a permanent line above the bars."""
        self._progress.console.print(Text(line, style=color), highlight=False, soft_wrap=True)
