"""Handle of a worker's Ray actor: acquisition, calls, and errors of a lost node."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from cifar_lab.core.errors import EnvironmentFault, LabError
from cifar_lab.core.git_diff import git_state_text
from cifar_lab.core.host import print_status
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.node import NodeWorker, differences, versions

WAITING_SECONDS = 60.0
"""Wait for a node after which the user is notified, and again each time that it has doubled."""

METHODS_AT_ONCE = 4
"""Concurrent calls of an actor: `listen` waits while `stop` or `end_slowly` is called."""

CLOSE_SECONDS = 10.0
"""Time for a node to end its process and clean up."""

NOT_INSTALLED = ("No module named 'cifar_lab", "cannot import name", "failed to import")
"""Ray's messages for a node whose Python cannot import the actor."""


class Lost(Exception):
    """The node or Ray's process on it is lost."""


class Cancelled(Exception):
    """The wait for a node was cancelled."""


class NodeHandle:
    """Actor for the tasks of one worker. It exists from `acquire` to `release`."""

    def __init__(self, connection: Connection, threads: int, gpu: int | None) -> None:
        """`threads`, `gpu`: resources to request. Any number of a GPU requests one GPU."""
        self._connection, self._ray = connection, connection.ray
        self._threads, self._gpu = threads, gpu
        self._actor: Any = None
        self.machine = ""
        """Name of the node."""

    @property
    def is_acquired(self) -> bool:
        """Whether the actor exists."""
        return self._actor is not None

    def acquire(self, cancelled: Callable[[], bool]) -> None:
        """Start the actor. The wait for a node has no time limit.

        Raises:
            Cancelled: `cancelled` returned true.
            Lost: the node was lost again.
            EnvironmentFault: the node has other versions than this machine.
        """
        options = {"num_cpus": self._threads, "num_gpus": 0 if self._gpu is None else 1}
        actor_class = self._ray.remote(NodeWorker).options(max_concurrency=METHODS_AT_ONCE, max_restarts=0, **options)
        actor = actor_class.remote(self._threads, git_state_text())
        answer, began, tell_after = actor.introduce.remote(), time.monotonic(), WAITING_SECONDS
        while not self._ray.wait([answer], timeout=0.2)[0]:
            if cancelled():
                self._ray.kill(actor)
                raise Cancelled
            if time.monotonic() - began > tell_after:
                tell_after *= 2
                print_status(self._why_waiting())
        self.machine, there = self._get(answer)
        if differing := differences(versions(), there):
            raise EnvironmentFault(
                f"node {self.machine} has {differing}; its runs would differ from those of this machine: "
                "install the same versions on every node"
            )
        self._actor = actor

    def _why_waiting(self) -> str:
        nodes = self._connection.nodes()
        cores, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
        wanted = f"{self._threads} of its cores" + (" and a GPU" if self._gpu is not None else "")
        return (
            f"waiting for a node that has {wanted} free; the cluster has {len(nodes)} nodes with {cores} cores and "
            f"{gpus} GPUs in all: start another with `ray start --address=...`, or press Ctrl-C to stop waiting"
        )

    def call(self, method: str, *arguments: Any) -> Any:
        """Result of a method of the actor.

        Raises:
            Lost: the node is lost.
            EnvironmentFault: the node's disk or its installation refuses.
        """
        return self._get(getattr(self._actor, method).remote(*arguments))

    def _get(self, answer: Any) -> Any:
        """Value of a future.

        Raises:
            Lost: the node is lost.
            EnvironmentFault: the node's disk or its installation refuses.
        """
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(answer)
        except exceptions.RayTaskError as error:
            reason = " ".join(str(error.cause).split())
            if isinstance(error.cause, LabError | OSError):
                raise EnvironmentFault(f"node {self.machine}: {reason}") from error
            raise
        except exceptions.RayError as error:
            if any(words in str(error) for words in NOT_INSTALLED):
                raise EnvironmentFault(
                    "a node of the cluster has no cifar-lab like this one; install the same on every node, for the "
                    "Python that Ray was started with there"
                ) from error
            raise Lost(_describe(error, self.machine)) from error

    def tell(self, method: str) -> None:
        """Call a method without waiting. Does nothing without an actor."""
        if (actor := self._actor) is not None:
            getattr(actor, method).remote()

    def kill(self) -> None:
        """Kill the actor."""
        if (actor := self._actor) is not None:
            self._ray.kill(actor)

    def release(self) -> None:
        """Kill the actor and forget it."""
        actor, self._actor = self._actor, None
        if actor is not None:
            self._ray.kill(actor)

    def close(self) -> None:
        """Let the actor end its process and clean up, then release it."""
        if self._actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get(self._actor.close.remote(), timeout=CLOSE_SECONDS)
            self.release()


def _describe(error: Exception, machine: str) -> str:
    """Describe the loss of a node."""
    kind = type(error).__name__
    if kind == "OutOfMemoryError":
        return f"Ray ended its process on node {machine}, which ran out of memory"
    return f"node {machine or 'of the cluster'}, or Ray's process on it, is gone ({kind})"
