"""Idle workers of a command between its steps. A worker that has imported torch, or holds a GPU, is worth keeping."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cifar_lab.execution.local.early_worker import EarlyWorker
from cifar_lab.execution.local.process import WorkerProcess


class WorkerPool:
    """Source of workers for supervisors. Outside `keeping`, it starts one per request and closes those returned."""

    def __init__(self, first: EarlyWorker | None = None) -> None:
        """Use the process that was started early, if any, for the first request that it fits."""
        self._first = first
        self._idle: list[WorkerProcess] = []
        self._starter: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep returned workers until the end of the block. Blocks may be nested."""
        if self._starter is not None:
            yield
            return
        # A worker dies with the thread that started it, so this thread outlives the steps.
        with ThreadPoolExecutor(1) as self._starter:
            try:
                yield
            finally:
                self.close_idle()
                self._starter = None

    def take(self, threads: int, gpu: int | None) -> WorkerProcess:
        """A worker with so many threads that sees only that GPU.

        Raises:
            OSError: no process can be started.
        """
        with self._lock:
            starter, found = self._starter, None
            for worker in self._idle:
                if (worker.threads, worker.gpu) == (threads, gpu) and worker.process.poll() is None:
                    found = worker
                    self._idle.remove(worker)
                    break
        if found is not None:
            return found
        if self._first is not None and (launched := self._first.take(threads)) is not None:
            return WorkerProcess(threads, gpu, launched)
        self.close_idle()  # they have other threads, or are dead
        if starter is None:
            return WorkerProcess(threads, gpu)
        return starter.submit(WorkerProcess, threads, gpu).result()

    def give_back(self, worker: WorkerProcess) -> None:
        """Return a worker without a task."""
        with self._lock:
            if is_kept := self._starter is not None and worker.process.poll() is None:
                self._idle.append(worker)
        if not is_kept:
            worker.close()

    def close_idle(self) -> None:
        """Close idle workers, which leave their memory to others."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
