"""Attempt at a task: the interface of its worker process, its state, and the cause of the end of the process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from cifar_lab.core.text import in_words
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.watchdog import OomWatch
from cifar_lab.store.failures import Kind
from cifar_lab.training.events import Message
from cifar_lab.training.job import Job


class WorkerHandle(Protocol):
    """Interface of a worker process, local or remote. `local.process.WorkerProcess` documents its parts."""

    threads: int
    gpu: int | None
    ending_since: float | None

    @property
    def pid(self) -> int: ...

    def say(self, line: str) -> None: ...

    def messages(self) -> Iterator[Message]: ...

    def end_slowly(self) -> None: ...

    def end_group(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Attempt:
    """State of one task in one process."""

    left: dict[str, Job]
    """Runs by id that have no outcome yet."""
    retries: dict[str, Kind] = field(default_factory=dict)
    """Ids of failed runs to retry, with the kind of failure."""
    found: set[str] = field(default_factory=set)
    """Ids of runs that another command had made before the worker locked them."""
    held: set[str] = field(default_factory=set)
    """Ids of runs that another command holds."""
    complete: bool = False
    """Whether the worker finished its task."""
    failed: bool = False
    """Whether a run failed."""
    death: Kind | None = None
    """Cause of the end of the process before the end of its task."""


def autopsy(worker: WorkerHandle, complete: bool, run_seconds: float | None, oom_watch: OomWatch) -> tuple[Kind, str]:
    """(kind, reason) of a process's end. `complete`: it finished its task and still lives."""
    assert isinstance(worker, WorkerProcess)
    timed_out = worker.ending_since is not None
    if timed_out or complete:
        worker.kill()
    code = worker.process.wait()
    if timed_out:
        location = worker.location()
        where = f"; it was at {location}" if location else ""
        return "timeout", f"took longer than {in_words(run_seconds or 0)} (--run-timeout){where}"
    if complete:
        return "killed", "its process was ended by SIGTERM"
    if code == -signal.SIGKILL and oom_watch.struck():
        return "oom", "out of memory: the kernel ended its process"
    if worker.ran_out_of_memory():
        return "oom", f"out of memory: {worker.cause_of_death()}"
    return "killed", worker.cause_of_death()
