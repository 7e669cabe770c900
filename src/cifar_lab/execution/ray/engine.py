"""The engine that makes runs on a Ray cluster: slots as on one machine, whose workers are on its nodes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cifar_lab.config import Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.local import engine as here
from cifar_lab.execution.oom import OomWatch
from cifar_lab.execution.outcomes import OnEvent, Outcome
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.object_store import ObjectStore
from cifar_lab.execution.ray.supervisor import RemoteSlot
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.supervisor import WorkerSupervisor
from cifar_lab.execution.task_queue import PullQueue
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import RunTracker


class RayEngine:
    """Connects when it is first needed, and once."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: as Ray takes it; None is a private cluster on this machine."""
        self._address = address
        self._connection: Connection | None = None
        self._connecting = threading.Lock()

    @property
    def on_this_machine(self) -> bool:
        """Whether its runs share this machine's cores."""
        return self._address in (None, "local")

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """Refuse a GPU that is insisted on and that no node has.

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
        """As `Engine`: Ray is there and a cluster answers."""
        self._connect()

    def gpus(self) -> int:
        """GPUs of the cluster."""
        return self._connect().gpus()

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """As `here.execute`, on the cluster; `slots` None is as many as its nodes have places for now."""
        connection = self._connect()
        stock = ObjectStore(connection.ray)

        def new_slot(queue: PullQueue, course: RunTracker, requests: StopRequests, watch: OomWatch) -> WorkerSupervisor:
            return RemoteSlot(queue, course, requests, watch, connection, stock)

        return here.execute(tasks, slots or places(connection, tasks), on_event, policy, new_slot=new_slot)

    def close(self) -> None:
        """Leave the cluster."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        with self._connecting:
            if self._connection is None:
                self._connection = Connection(self._address)
            return self._connection


def places(connection: Connection, tasks: Sequence[Task]) -> int:
    """Tasks that the nodes can make side by side now, at least 1."""
    if any(task.gpu is not None for task in tasks):
        return max(1, connection.gpus())
    threads = max(task.jobs[0].threads for task in tasks)
    return max(1, sum(int(node.get("CPU", 0)) // threads for node in connection.nodes()))
