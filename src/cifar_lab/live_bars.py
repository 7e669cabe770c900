"""Progress on a terminal: a bar for each run under way and one for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cifar_lab.plan import Job, PlannedRun
from cifar_lab.progress import count, device_line, numbers, outcome_line, plan_line
from cifar_lab.safe_text import plain

COLORS = {"done": "green", "paused": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow"}


class LiveBars:
    """Epoch, step, loss, accuracy and time left of each run under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._epochs_done: dict[str, float] = {}
        self._all: TaskID | None = None
        self._runs = self._ended = 0
        self._devices: set[str] = set()

    def preparing(self, what: str, done: int, total: int) -> None:
        self._progress.start()
        if what not in self._tasks:
            self._clear()
            self._tasks[what] = self._progress.add_task(escape(plain(what)), total=total or None, state="")
        self._progress.update(self._tasks[what], completed=done, total=total or None)

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        self._clear()
        self._console.print(plan_line(planned), highlight=False)
        to_do = [run.job for run in planned if run.state != "done"]
        self._runs, self._ended, self._epochs_done = len(to_do), 0, {}
        if to_do:
            self._progress.start()
            epochs = sum(job.settings.epochs for job in to_do)
            self._all = self._progress.add_task("all runs", total=epochs, state=self._count())

    def event(self, job: Job, event: dict[str, Any]) -> None:
        kind, of = event["event"], f"/{job.settings.epochs}"
        if kind == "started" and job.run_id not in self._tasks:
            name = escape(plain(job.name))
            self._tasks[job.run_id] = self._progress.add_task(name, total=job.settings.epochs, state="starting")
        elif kind == "device":
            if (line := device_line(event)) not in self._devices:
                self._devices.add(line)
                self._progress.console.print(line, highlight=False)
        elif kind == "resumed":
            self._move(job, event["epoch"], f"goes on after epoch {event['epoch']}{of}")
        elif kind == "step":
            where = f"epoch {event['epoch']}{of} step {event['step']}/{event['steps']}"
            done = event["epoch"] - 1 + event["step"] / event["steps"]
            self._move(job, done, f"{where} loss {event['loss']:.3f} accuracy {event['accuracy']:.3f}")
        elif kind == "epoch":
            self._move(job, event["epoch"], f"epoch {event['epoch']}{of} {numbers(event)}")
        elif kind == "outcome":
            self._end_run(job, event)

    def end(self) -> None:
        self._clear()
        self._progress.stop()

    def _clear(self) -> None:
        """Take every bar away: what they told of is over."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._tasks, self._all = {}, None

    def _move(self, job: Job, epochs_done: float, state: str) -> None:
        self._progress.update(self._tasks[job.run_id], completed=epochs_done, state=state)
        self._epochs_done[job.run_id] = epochs_done
        self._move_all()

    def _end_run(self, job: Job, event: dict[str, Any]) -> None:
        self._ended += 1
        self._progress.remove_task(self._tasks.pop(job.run_id))
        if event["status"] != "interrupted":
            self._epochs_done[job.run_id] = job.settings.epochs
        self._move_all()
        text = f"[{COLORS[event['status']]}]{escape(plain(job.name))}: {escape(outcome_line(event))}[/]"
        self._progress.console.print(text, highlight=False)

    def _move_all(self) -> None:
        if self._all is not None:
            self._progress.update(self._all, completed=sum(self._epochs_done.values()), state=self._count())

    def _count(self) -> str:
        return f"{self._ended}/{count(self._runs, 'run')}"
