"""Progress on a terminal: a bar for each run under way and one for all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import IO, Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import in_words, plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import device_line, numbers, outcome_line, plan_line, trouble_line
from cifar_lab.progress.progress_state import ProgressState
from cifar_lab.training.job import Job

COLORS = {"done": "green", "paused": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow"}

MOST_BARS = 8
"""Runs that have a bar: a cohort on a GPU may have hundreds."""

BAR_WIDTH = 12
"""Columns; the words beside a bar need the room more."""

COUNT_SECONDS = 1.0
"""Between two estimates of the time left."""


def terminal_console() -> Console:
    """A console on standard output that goes on when the terminal is closed under it."""
    return Console(file=cast(IO[str], _LiveOutput(sys.stdout)), highlight=False)


class _LiveOutput:
    """A terminal as a stream; one that is gone costs what was to be shown, not the runs."""

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
    """Time left of a bar, by its own pace."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"{in_words(left)} left", style="cyan")


class _Bars(Progress):
    """A table of the runs under way, and below it a line on all of them, which takes the room that it needs."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table([task for task in self.tasks if not task.fields.get("whole")])
        for task in self.tasks:
            if task.fields.get("whole"):
                line = Table.grid(padding=(0, 1))
                line.add_row(task.description, BarColumn(BAR_WIDTH).render(task), task.fields["state"])
                yield line


class LiveBars:
    """Epoch, step, loss, accuracy and time left of each run under way; above all, how the command stands."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _Bars(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(BAR_WIDTH),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
            _TimeLeft(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._tally = ProgressState(())
        self._all: TaskID | None = None
        self._counted_at = 0.0
        self._devices: set[str] = set()

    def preparing(self, what: str, done: int, total: int) -> None:
        self._progress.start()
        if what not in self._tasks:
            self._clear()
            self._tasks[what] = self._progress.add_task(escape(plain(what)), total=total or None, state="")
        self._progress.update(self._tasks[what], completed=done, total=total or None)

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._clear()
        self._print(plan_line(planned))
        self._tally, self._counted_at = ProgressState(planned), 0.0
        if self._tally.total:
            self._progress.start()
            words = self._tally.words()
            self._all = self._progress.add_task("all runs", total=self._tally.epochs, state=words, whole=True)

    def event(self, job: Job, event: dict[str, Any]) -> None:
        kind, of = event["event"], f"/{job.settings.epochs}"
        self._tally.event(job, event)
        if kind == "started":
            self._state(job, "starting")
        elif kind == "device":
            if (line := device_line(event)) not in self._devices:
                self._devices.add(line)
                self._print(line)
        elif kind == "resumed":
            self._state(job, f"goes on after epoch {event['epoch']}{of}")
        elif kind == "step":
            where = f"epoch {event['epoch']}{of} step {event['step']}/{event['steps']}"
            self._state(job, f"{where} loss {event['loss']:.3f} accuracy {event['accuracy']:.3f}")
        elif kind == "epoch":
            self._state(job, f"epoch {event['epoch']}{of} {numbers(event)}")
        elif kind == "outcome":
            self._end_run(job, event)
        elif (trouble := trouble_line(event)) is not None:
            self._print(f"{plain(job.name)}: {trouble}", "yellow")
            if kind == "retry":
                self._drop(job)
        self._count()

    def end(self) -> None:
        self._clear()
        self._progress.stop()

    def _clear(self) -> None:
        """Take every bar away: what they told of is over."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._tasks, self._all = {}, None

    def _state(self, job: Job, state: str) -> None:
        """What the run's bar says; runs beyond MOST_BARS have none."""
        task = self._tasks.get(job.run_id)
        if task is None:
            if len(self._tasks) >= MOST_BARS:
                return
            name = escape(plain(job.name))
            epochs = self._tally.epochs_to_make(job)
            task = self._tasks[job.run_id] = self._progress.add_task(name, total=epochs, state=state)
        self._progress.update(task, completed=self._tally.epochs_made(job), state=state)

    def _drop(self, job: Job) -> None:
        if (task := self._tasks.pop(job.run_id, None)) is not None:
            self._progress.remove_task(task)

    def _end_run(self, job: Job, event: dict[str, Any]) -> None:
        self._drop(job)
        self._print(f"{plain(job.name)}: {outcome_line(event, score=True)}", COLORS[event["status"]])

    def _count(self) -> None:
        """Bring the bar of all runs up to date."""
        if self._all is None:
            return
        now = time.monotonic()
        done = self._tally.all_epochs_made
        # Not at each end: between two runs of a slot it would tell of one too few.
        if now - self._counted_at >= COUNT_SECONDS or self._tally.ended == self._tally.total:
            self._counted_at = now
            self._progress.update(self._all, completed=done, state=self._tally.words())
        else:
            self._progress.update(self._all, completed=done)

    def _print(self, line: str, color: str = "none") -> None:
        """A line that stays, above the bars."""
        self._progress.console.print(Text(line, style=color), highlight=False, soft_wrap=True)
