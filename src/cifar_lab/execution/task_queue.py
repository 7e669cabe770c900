"""Tasks that slots take when they are free, and those that may only be made with nothing beside them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from cifar_lab.execution.tasks import Task


class PullQueue:
    """Hands out tasks in their order; what is given back is handed out again.

    A task that is to be alone waits for the end: then no slot stands idle for its sake before the others are made.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._waiting = deque(tasks)
        self._alone: deque[Task] = deque()
        self._out = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, *, wait: bool) -> Task | None:
        """The next task; None when there is none, or, without `wait`, none at this moment.

        With `wait` it returns None only when all tasks are finished, or the queue is closed: as long as one is being
        made it may be given back.
        """
        with self._changed:
            while True:
                task = None if self._closed else self._next()
                if task is not None:
                    self._out += 1
                    return task
                if not wait or self._closed or not (self._out or self._waiting or self._alone):
                    return None
                self._changed.wait()

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft()
        return self._alone.popleft() if self._alone and not self._out else None

    def give_back(self, task: Task, *, alone: bool) -> None:
        """`task`, which was taken, is to be made again; `alone` with nothing beside it."""
        with self._changed:
            if alone:
                self._alone.append(task)
            else:
                self._waiting.appendleft(task)

    def finished(self) -> None:
        """A task that was taken is out of the slot's hands: it is made, or was given back before."""
        with self._changed:
            self._out -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
