"""A slot whose worker is somewhere on the cluster."""

from __future__ import annotations

from cifar_lab.core.text import in_words
from cifar_lab.execution.oom import OomWatch
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.object_store import ObjectStore
from cifar_lab.execution.ray.process import RemoteWorker
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.supervisor import WorkerHandle, WorkerSupervisor
from cifar_lab.execution.task_queue import PullQueue
from cifar_lab.execution.tracker import RunTracker
from cifar_lab.store.failures import Kind


class RemoteSlot(WorkerSupervisor):
    """Gets its workers from a cluster, and the cause of their end from the node that had them."""

    def __init__(
        self, queue: PullQueue, course: RunTracker, requests: StopRequests, oom_watch: OomWatch,
        connection: Connection, stock: ObjectStore,
    ) -> None:  # fmt: skip
        super().__init__(queue, course, requests, oom_watch)
        self._connection, self._stock = connection, stock

    def _new_worker(self, threads: int, gpu: int | None) -> WorkerHandle:
        return RemoteWorker(self._connection, self._stock, threads, gpu)

    def _autopsy(self, worker: WorkerHandle, whole: bool) -> tuple[Kind, str]:
        assert isinstance(worker, RemoteWorker)
        kind, reason, place = worker.cause
        if worker.ending_since is not None:
            where = f"; it was at {place}" if place else ""
            return "timeout", f"took longer than {in_words(self.course.policy.run_seconds or 0)} (--run-timeout){where}"
        return ("killed", "its process was told to end by SIGTERM") if whole else (kind, reason)
