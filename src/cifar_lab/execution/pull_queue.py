"""Queue of the tasks of a command, for several workers beside those of other commands. No torch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from cifar_lab.execution.elsewhere import Elsewhere, holder_of
from cifar_lab.execution.tasks import Task
from cifar_lab.training.job import Job

HELD_POLL_SECONDS = 0.5
"""Interval between looks at runs that other commands hold. An epoch takes longer than the wait that it costs."""


class PullQueue:
    """Tasks in their order, for several consumers. A task that is given back is handed out again.

    Exclusive tasks run with no other task beside them. They come last, so that no consumer is idle before that. Tasks
    whose runs other commands hold come whenever there is nothing else and one of their runs is free again.
    """

    def __init__(self, tasks: Iterable[Task], cores: int | None = None, *, patient: bool = False) -> None:
        """Queue the tasks.

        Args:
            cores: limit of the cores of concurrent tasks. A task that needs more runs alone. None means no limit.
            patient: whether to wait for runs that other commands hold after everything else is done.
        """
        self._patient = patient
        self._cores, self._busy_cores = cores, 0
        self._waiting = deque(tasks)
        self.elsewhere = Elsewhere(job for task in self._waiting for job in task.jobs)
        self._alone: deque[Task] = deque()
        self._held: list[Task] = []
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, *, wait: bool) -> Task | None:
        """Take the next task.

        Returns:
            None if there is none at the moment. With `wait`, None only once all tasks are finished or the queue is
            closed, because a task in progress may be given back. Tasks that other commands hold count as finished
            unless the queue is patient.
        """
        with self._changed:
            while True:
                task = None if self._closed else self._next() or self._released()
                if task is not None:
                    self._taken += 1
                    self._busy_cores += task.cores
                    return task
                if not wait or self._closed or not self._may_get_more():
                    return None
                self._changed.wait(HELD_POLL_SECONDS if self._held else None)

    def _may_get_more(self) -> bool:
        return bool(self._taken or self._waiting or self._alone or (self._patient and self._held))

    def _released(self) -> Task | None:
        """The first held task with a run that is free by now, or made. None where there is no room for it."""
        for task in self._held:
            if self._has_room(task) and not all(holder_of(job) for job in task.jobs):
                self._held.remove(task)
                return task
        return None

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft() if self._has_room(self._waiting[0]) else None
        return self._alone.popleft() if self._alone and not self._taken else None

    def _has_room(self, task: Task) -> bool:
        return not self._taken or self._cores is None or self._busy_cores + task.cores <= self._cores

    def give_back(self, task: Task, *, alone: bool) -> None:
        """Queue a taken task once more, with `alone` as an exclusive one."""
        with self._changed:
            if alone:
                self._alone.append(task)
            else:
                self._waiting.appendleft(task)

    def hold_back(self, task: Task) -> None:
        """Queue the part of a taken task whose runs other commands hold."""
        with self._changed:
            self._held.append(task)

    @property
    def held(self) -> list[Job]:
        """Runs that other commands held at the last look."""
        with self._changed:
            return [job for task in self._held for job in task.jobs]

    @property
    def awaits_others(self) -> bool:
        """Whether nothing else is left than to wait for other commands."""
        with self._changed:
            nothing_else = not (self._closed or self._taken or self._waiting or self._alone)
            return self._patient and bool(self._held) and nothing_else

    def finished(self, task: Task) -> None:
        """Mark a taken task as finished or given back."""
        with self._changed:
            self._taken -= 1
            self._busy_cores -= task.cores
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out no more tasks."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
