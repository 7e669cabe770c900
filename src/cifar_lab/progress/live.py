"""Progress on a terminal (standard error): a bar per active run, and one for all runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, Task, TaskID
from rich.table import Table
from rich.text import Text

from cifar_lab.core.host import ignore_output
from cifar_lab.core.terminal import SafeConsole
from cifar_lab.core.text import plain
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import device_line, outcome_line, plan_line, trouble_line
from cifar_lab.progress.progress_state import ProgressState, Score, epoch_score
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    ModelOutput,
    RetryScheduled,
    RunHeld,
    RunOutcome,
    RunResumed,
    RunStarted,
    StepCompleted,
)
from cifar_lab.training.job import Job

COLORS = {"done": "green", "paused": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow",
          "held": "yellow"}  # fmt: skip

MOST_BARS = 8
"""Runs with a bar. A cohort on a GPU may have hundreds."""

BAR_WIDTH = 12
"""In columns, at any width of the terminal."""

LEAST_NAME = 12
"""Columns that the name of a run may take at least. It may take a third of the terminal."""

COUNT_SECONDS = 1.0
"""Between updates of the remaining time."""


def terminal_console() -> Console:
    """Console on standard error that survives a closed terminal."""
    return SafeConsole(file=cast(IO[str], _LiveOutput(sys.stderr)))


class _LiveOutput:
    """Stream of the terminal. Output to a closed terminal is dropped and does not end the runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # sys.stderr is another while bars are shown

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


@dataclass
class _RunLine:
    """Fields of an active run's line, most important first. They may be empty."""

    epoch: str = ""
    left: str = ""
    score: str = ""
    loss: str = ""
    step: str = ""

    def fields(self) -> tuple[str, ...]:
        """The fields in their order of importance."""
        return self.epoch, self.left, self.score, self.loss, self.step


class _Bars(Progress):
    """Line per active run, and below them the line of all runs. Each fits the terminal: fields drop by importance."""

    def get_renderables(self) -> Iterable[RenderableType]:
        if not self.tasks:  # rich asks before its console is set
            return
        width = self.console.width
        runs = [task for task in self.tasks if isinstance(task.fields.get("line"), _RunLine)]
        if runs:
            yield self._run_table(runs, width)
        for task in self.tasks:
            if task not in runs:
                line = _line_grid()
                parts = _parts_that_fit(task.fields["parts"], width - cell_len(task.description) - BAR_WIDTH - 2)
                line.add_row(Text(task.description), BarColumn(BAR_WIDTH).render(task), " · ".join(parts))
                yield line

    def _run_table(self, tasks: Sequence[Task], width: int) -> Table:
        columns = [cells for cells in zip(*(task.fields["line"].fields() for task in tasks), strict=True) if any(cells)]
        widths = [max(map(cell_len, cells)) for cells in columns]
        names = [task.description for task in tasks]
        name_width = min(max(map(cell_len, names)), max(LEAST_NAME, width // 3))
        kept = _columns_that_fit(widths, width - name_width - 1 - BAR_WIDTH)
        table = _line_grid()
        table.columns[0].width = name_width
        for _ in range(kept - 1):
            table.add_column(no_wrap=True)
        for task, name, *cells in zip(tasks, names, *columns[:kept], strict=True):
            table.add_row(
                Text(name, overflow="ellipsis"),
                BarColumn(BAR_WIDTH).render(task),
                cells[0],
                *(f" {cell}" for cell in cells[1:]),
            )
        return table


def _line_grid() -> Table:
    """Table with a name, a bar of fixed width and a text."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(width=BAR_WIDTH)
    grid.add_column(no_wrap=True)
    return grid


def _columns_that_fit(widths: Sequence[int], room: int) -> int:
    """Number of leading columns that fit into `room`, at least one. The first has a space before it, others two."""
    return next((number for number in range(len(widths), 0, -1) if sum(widths[:number]) + 2 * number - 1 <= room), 1)


def _parts_that_fit(parts: Sequence[str], room: int) -> Sequence[str]:
    """The leading parts that fit into `room` with separators, at least one."""
    return next(
        (parts[:number] for number in range(len(parts), 0, -1) if cell_len(" · ".join(parts[:number])) <= room),
        parts[:1],
    )


class LiveBars:
    """Display with epoch, step, loss, accuracy and remaining time of each active run, and the state of the command."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _Bars(
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # results in a pipe or file stay there
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
            self._tasks[what] = self._progress.add_task(plain(what), total=total or None, parts=[""])
        self._progress.update(self._tasks[what], completed=done, total=total or None)

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._clear()
        self._print(plan_line(planned))
        self._state, self._counted_at = ProgressState(planned), 0.0
        if self._state.total:
            self._progress.start()
            self._all = self._progress.add_task("all runs", total=self._state.epochs, parts=self._state.parts())

    def event(self, job: Job, event: Event) -> None:
        of, last = f"/{job.settings.epochs}", self._state.last_score(job)
        self._state.event(job, event)
        match event:
            case RunStarted():
                self._describe(job, _RunLine("starting"))
            case DeviceChosen():
                if (line := device_line(event)) not in self._devices:
                    self._devices.add(line)
                    self._print(line)
            case RunResumed(epoch):
                self._describe(job, _RunLine(f"resumes after {epoch}{of}"))
            case StepCompleted(epoch, step, steps, loss, accuracy):
                score = last if last is not None and last.split == "validation" else Score("training", accuracy)
                text = _RunLine(
                    f"epoch {epoch}{of}", score=str(score), loss=f"loss {loss:.3f}", step=f"step {step}/{steps}"
                )
                self._describe(job, text)
            case EpochCompleted():
                score = epoch_score(event)
                text = _RunLine(f"epoch {event.epoch}{of}", score=str(score), loss=f"loss {event.train_loss:.3f}")
                self._describe(job, text)
            case RunOutcome():
                self._end_run(job, event, last)
            case _ if (trouble := trouble_line(event)) is not None:
                self._print(f"{plain(job.name)}: {trouble}", "none" if isinstance(event, ModelOutput) else "yellow")
                if isinstance(event, RetryScheduled):
                    self._drop(job)
            case RunHeld():
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

    def _describe(self, job: Job, line: _RunLine) -> None:
        """Set the fields of a run's bar. Runs beyond MOST_BARS have none."""
        task = self._tasks.get(job.run_id)
        if task is None:
            if len(self._tasks) >= MOST_BARS:
                return
            epochs = self._state.epochs_to_make(job)
            task = self._tasks[job.run_id] = self._progress.add_task(plain(job.name), total=epochs, line=line)
        timed = replace(line, left=self._state.run_time_left(job))
        self._progress.update(task, completed=self._state.epochs_made(job), line=timed)

    def _drop(self, job: Job) -> None:
        if (task := self._tasks.pop(job.run_id, None)) is not None:
            self._progress.remove_task(task)

    def _end_run(self, job: Job, event: RunOutcome, last: Score | None) -> None:
        self._drop(job)
        self._print(f"{plain(job.name)}: {outcome_line(event, last)}", COLORS[event.status])

    def _count(self) -> None:
        """Update the bar of all runs."""
        if self._all is None:
            return
        now = time.monotonic()
        done = self._state.all_epochs_made
        # Not at the end of each run: before a worker starts the next, one too few is active.
        if now - self._counted_at >= COUNT_SECONDS or self._state.ended == self._state.total:
            self._counted_at = now
            self._progress.update(self._all, completed=done, parts=self._state.parts())
        else:
            self._progress.update(self._all, completed=done)

    def _print(self, line: str, color: str = "none") -> None:
        """Print a permanent line above the bars."""
        self._progress.console.print(Text(line, style=color), highlight=False, soft_wrap=True)
