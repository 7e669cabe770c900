"""A place on the cluster for a worker: how it is found, how it is spoken to, and what is said when it is lost."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from cifar_lab.core.errors import EnvironmentFault, LabError
from cifar_lab.core.host import git_state
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.messages import say
from cifar_lab.execution.ray.node import NodeWorker
from cifar_lab.execution.ray.versions import differences, versions

WAITING_SECONDS = 60.0
"""Without a place for so long a person is told why, and again each time that it has doubled; Ray waits for ever."""

METHODS_AT_ONCE = 4
"""Of a node's worker: `listen` waits while `stop` or `end_slowly` is called."""

CLOSE_SECONDS = 10.0
"""For a node to end its process and clear up."""

NOT_INSTALLED = ("No module named 'cifar_lab", "cannot import name", "failed to import")
"""What Ray tells of a node whose Python does not find what is to run there."""


class Lost(Exception):
    """The node, or Ray's process on it, is gone; the message says which and why."""


class GivenUp(Exception):
    """It is to end before it has a place."""


class NodeHandle:
    """A node's process for the tasks of one worker; there is none before `settle`, and none after `leave`."""

    def __init__(self, connection: Connection, threads: int, gpu: int | None) -> None:
        """`threads`, `gpu`: what is asked of the node; a number of a GPU is a GPU, whichever."""
        self._connection, self._ray = connection, connection.ray
        self._threads, self._gpu = threads, gpu
        self._actor: Any = None
        self.machine = ""
        """The node's name."""

    @property
    def is_settled(self) -> bool:
        """Whether there is one."""
        return self._actor is not None

    def settle(self, given_up: Callable[[], bool]) -> None:
        """Get it, however long that takes.

        Args:
            given_up: whether it is not wanted any more.

        Raises:
            GivenUp: it is not.
            Lost: its node is gone again.
            EnvironmentFault: a node cannot do what this machine can.
        """
        options = {"num_cpus": self._threads, "num_gpus": 0 if self._gpu is None else 1}
        actor_class = self._ray.remote(NodeWorker).options(max_concurrency=METHODS_AT_ONCE, max_restarts=0, **options)
        actor = actor_class.remote(self._threads, json.dumps(git_state()))
        answer, began, tell_after = actor.introduce.remote(), time.monotonic(), WAITING_SECONDS
        while not self._ray.wait([answer], timeout=0.2)[0]:
            if given_up():
                self._ray.kill(actor)
                raise GivenUp
            if time.monotonic() - began > tell_after:
                tell_after *= 2
                say(self._why_waiting())
        self.machine, there = self._get(answer)
        if differing := differences(versions(), there):
            raise EnvironmentFault(
                f"node {self.machine} has {differing}; its runs would not be those of this machine: "
                "install the same on every node"
            )
        self._actor = actor

    def _why_waiting(self) -> str:
        nodes = self._connection.nodes()
        cores, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
        wanted = f"{self._threads} of its cores" + (" and a GPU" if self._gpu is not None else "")
        return (
            f"waiting for a node that has {wanted} free; the cluster has {len(nodes)} nodes with {cores} cores and "
            f"{gpus} GPUs in all: start another with `ray start --address=...`, or Ctrl-C ends the wait"
        )

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method of the node's worker gives.

        Raises:
            Lost: the answer will not come.
            EnvironmentFault: the node's disk or its installation refuses.
        """
        return self._get(getattr(self._actor, method).remote(*arguments))

    def _get(self, answer: Any) -> Any:
        """The answer of a node.

        Raises:
            Lost: it will not come.
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
            raise Lost(_words(error, self.machine)) from error

    def tell(self, method: str) -> None:
        """Call a method and do not wait for it; nothing where there is no place."""
        if (actor := self._actor) is not None:
            getattr(actor, method).remote()

    def kill(self) -> None:
        """End the process there now."""
        if (actor := self._actor) is not None:
            self._ray.kill(actor)

    def leave(self) -> None:
        """Give the place up."""
        actor, self._actor = self._actor, None
        if actor is not None:
            self._ray.kill(actor)

    def close(self) -> None:
        """Let the process there end and clear up, then give the place up."""
        if self._actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get(self._actor.close.remote(), timeout=CLOSE_SECONDS)
            self.leave()


def _words(error: Exception, machine: str) -> str:
    """Why a node does not answer, in a few words."""
    kind = type(error).__name__
    if kind == "OutOfMemoryError":
        return f"Ray ended its process on node {machine}, whose memory ran short"
    return f"node {machine or 'of the cluster'}, or Ray's process on it, is gone ({kind})"
