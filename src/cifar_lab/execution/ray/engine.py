"""Ray engine: the supervisors of the local engine, with workers on the nodes of a cluster."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from cifar_lab.config import Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import in_words
from cifar_lab.execution.attempt import WorkerHandle
from cifar_lab.execution.local import engine as local
from cifar_lab.execution.pull_queue import PullQueue
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.process import RemoteWorker
from cifar_lab.execution.ray.transfers import ObjectStore
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.supervisor import WorkerSupervisor
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import OnEvent, Outcome, Policy, RunTracker
from cifar_lab.execution.watchdog import OomWatch
from cifar_lab.store.failures import Kind


class RemoteSupervisor(WorkerSupervisor):
    """Supervisor of a worker on the cluster. Its node reports the cause of its end."""

    def __init__(
        self, queue: PullQueue, tracker: RunTracker, requests: StopRequests, oom_watch: OomWatch,
        connection: Connection, store: ObjectStore,
    ) -> None:  # fmt: skip
        super().__init__(queue, tracker, requests, oom_watch)
        self._connection, self._store = connection, store

    def _new_worker(self, threads: int, gpu: int | None) -> WorkerHandle:
        return RemoteWorker(self._connection, self._store, threads, gpu)

    def _autopsy(self, worker: WorkerHandle, complete: bool) -> tuple[Kind, str]:
        assert isinstance(worker, RemoteWorker)
        kind, reason, location = worker.cause
        if worker.ending_since is not None:
            where = f"; it was at {location}" if location else ""
            return (
                "timeout",
                f"took longer than {in_words(self.tracker.policy.run_seconds or 0)} (--run-timeout){where}",
            )
        return ("killed", "its process was ended by SIGTERM") if complete else (kind, reason)


class RayEngine:
    """Engine of a Ray cluster, which connects once, on first use."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: as for Ray. None means a private cluster on this machine."""
        self._address = address
        self._connection: Connection | None = None
        self._connecting = threading.Lock()

    @property
    def on_this_machine(self) -> bool:
        """Whether its runs share this machine's cores."""
        return self._address in (None, "local")

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """Refuse settings that insist on a GPU if no node has one.

        Raises:
            SettingsError: no node of the cluster has a GPU.
            EnvironmentFault: as `Connection`.
        """
        if any(settings.runtime.device == "cuda" for settings in arms) and self._connect().gpus() == 0:
            raise SettingsError(
                "runtime.device: cuda is not available: no node of the Ray cluster has a GPU; "
                "start one with `ray start --num-gpus=...`, or use --set runtime.device=auto"
            )

    def open(self) -> None:
        """As `Engine`. Ray must be installed and a cluster must answer."""
        self._connect()

    def keeping_workers(self) -> AbstractContextManager[None]:
        """As `Engine`. Workers of a cluster end with their step, so that others may use their cores."""
        return nullcontext()

    def gpus(self) -> int:
        """Number of GPUs of the cluster."""
        return self._connect().gpus()

    def cores(self) -> int:
        """Cores of the smallest node, so that every node can make every run."""
        return min((int(node["CPU"]) for node in self._connect().nodes() if node.get("CPU", 0) >= 1), default=1)

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """As `local.engine.execute`, on the cluster. `slots` None means as many as its nodes have room for now."""
        connection = self._connect()
        store = ObjectStore(connection.ray)

        def new_supervisor(
            queue: PullQueue, tracker: RunTracker, requests: StopRequests, watch: OomWatch
        ) -> WorkerSupervisor:
            return RemoteSupervisor(queue, tracker, requests, watch, connection, store)

        return local.execute(
            tasks, slots or capacity(connection, tasks), on_event, policy, new_supervisor=new_supervisor
        )

    def close(self) -> None:
        """Disconnect from the cluster."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        with self._connecting:
            if self._connection is None:
                self._connection = Connection(self._address)
            return self._connection


def capacity(connection: Connection, tasks: Sequence[Task]) -> int:
    """Number of tasks that the nodes can run concurrently, at least 1."""
    if any(task.gpu is not None for task in tasks):
        return max(1, connection.gpus())
    threads = max(task.jobs[0].threads for task in tasks)
    return max(1, sum(int(node.get("CPU", 0)) // threads for node in connection.nodes()))
