"""A worker process somewhere on the cluster, as the driver sees it: it speaks as `child.WorkerProcess` does.

Where its node or Ray's own process there dies, it goes on elsewhere by itself, from the epochs that have come back.
What becomes of a run whose process died is for the slot to decide, as on one machine.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from cifar_lab.engines.cluster.connect import Connection
from cifar_lab.engines.cluster.delivery import DamagedParcel, Destination
from cifar_lab.engines.cluster.node import NodeWorker
from cifar_lab.engines.cluster.parcels import News, outward
from cifar_lab.engines.cluster.stock import Stock
from cifar_lab.engines.cluster.versions import differences, versions
from cifar_lab.engines.cluster.words import say
from cifar_lab.engines.endings import ending_event
from cifar_lab.engines.outcomes import ENDINGS
from cifar_lab.engines.protocol import STOP, TASK_DONE, decode_task, encode_task
from cifar_lab.errors import EnvironmentFault, LabError
from cifar_lab.failures import Kind
from cifar_lab.machine import git_state
from cifar_lab.plan import Job
from cifar_lab.records import Record

WAITING_SECONDS = 60.0
"""Without a place for so long a person is told why, and again each time that it has doubled; Ray waits for ever."""

MOST_LOSSES = 3
"""Nodes that a task may lose in a row without a new epoch; then its runs have failed."""

METHODS_AT_ONCE = 4
"""Of a node's worker: `listen` waits while `stop` or `end_slowly` is called."""

CLOSE_SECONDS = 10.0
"""For a node to end its process and clear up."""

NOT_INSTALLED = ("No module named 'cifar_lab", "cannot import name", "failed to import")
"""What Ray tells of a node whose Python does not find what is to run there."""

Event = dict[str, Any]


class Lost(Exception):
    """The node, or Ray's process on it, is gone; the message says which and why."""


class GivenUp(Exception):
    """It is to end before it has a place."""


class RemoteWorker:
    """One worker of a slot; gets its place on the cluster when it has a task."""

    def __init__(self, connection: Connection, stock: Stock, threads: int, gpu: int | None) -> None:
        self.threads, self.gpu = threads, gpu
        self.ending_since: float | None = None
        """Moment of `time.monotonic` of the first `end_slowly`."""
        self.cause: tuple[Kind, str, str | None] = ("killed", "it was ended", None)
        """(kind, reason, where it was when it was asked to end) of its end."""
        self._connection, self._ray, self._stock = connection, connection.ray, stock
        self._actor: Any = None
        self._machine = ""
        self._task: tuple[list[list[Job]], int] = ([], 1)
        self._left: dict[str, Job] = {}
        self._held: dict[str, Destination] = {}
        self._stopping = self._killed = False
        self.pid = 0

    def say(self, line: str) -> None:
        """Hand it a task, or STOP."""
        if line != STOP:
            self._task = decode_task(line)
            return
        self._stopping = True
        if (actor := self._actor) is not None:
            actor.stop.remote()

    def events(self) -> Iterator[Event]:
        """What it tells of its task, until the task is done or its process has ended.

        Raises:
            EnvironmentFault: a node cannot do what this machine can.
        """
        cohorts, _ = self._task
        self._left = {job.run_id: job for cohort in cohorts for job in cohort}
        losses = 0
        try:
            yield from self._hold()
            while self._left:
                try:
                    yield self._begin()
                    for event in self._news():
                        losses = 0 if event["event"] == "epoch" else losses
                        yield event
                    return
                except Lost as lost:
                    losses += 1
                    self._leave()
                    self.cause = ("killed", str(lost), None)
                    if losses == MOST_LOSSES or self._stopping or self._killed:
                        return
                    for run_id in self._left:
                        retry = {"event": "retry", "reason": str(lost), "attempt": losses + 1, "alone": False}
                        yield {**retry, "run_id": run_id}
        except GivenUp:
            for run_id in list(self._left):
                yield {"event": "interrupted", "run_id": run_id, "reason": "stopped before it had a place"}
        finally:
            for destination in self._held.values():
                destination.close()
            self._held = {}
        yield {"event": TASK_DONE}

    def _hold(self) -> Iterator[Event]:
        """Hold the runs' folders; events of those that others hold, and of those that are there by now."""
        for run_id, job in list(self._left.items()):
            outcome: Record | Exception | None
            try:
                self._held[run_id] = Destination(job)
                outcome = self._held[run_id].first_result()
            except LabError as error:
                outcome = error
            if outcome is not None:
                yield self._end(run_id, ending_event(outcome, job))

    def _end(self, run_id: str, event: Event) -> Event:
        """Let go of a run of which `event` is the last."""
        del self._left[run_id]
        if (destination := self._held.pop(run_id, None)) is not None:
            destination.close()
        return {**event, "run_id": run_id}

    def _begin(self) -> Event:
        """Hand what is left of the task to a node, and say to which.

        Raises:
            Lost, GivenUp: it came to nothing.
            EnvironmentFault: as `events`.
        """
        if self._actor is None:
            self._settle()
        cohorts, lanes = self._task
        left = [[job for job in cohort if job.run_id in self._left] for cohort in cohorts]
        jobs = [job for cohort in left for job in cohort]
        images = {job.fingerprint: job.settings.data for job in jobs}
        for fingerprint in self._call("lacks", [(data, each) for each, data in images.items()]):
            self._call("keep", self._stock.images(images[fingerprint], fingerprint))
            self._call("lacks", [(images[fingerprint], fingerprint)])
        files = self._stock.files([job.settings for job in jobs])
        line = encode_task([cohort for cohort in left if cohort], lanes)
        self._call("take", line, [outward(job) for job in jobs], list(files), *files.values())
        if self._stopping:
            self._actor.stop.remote()
        return {"event": "placed", "run_id": jobs[0].run_id, "machine": self._machine}

    def _settle(self) -> None:
        """Get a place on the cluster.

        Raises:
            Lost, GivenUp, EnvironmentFault: as `_begin`.
        """
        options = {"num_cpus": self.threads, "num_gpus": 0 if self.gpu is None else 1}
        actor_class = self._ray.remote(NodeWorker).options(max_concurrency=METHODS_AT_ONCE, max_restarts=0, **options)
        actor = actor_class.remote(self.threads, json.dumps(git_state()))
        answer, began, tell_after = actor.introduce.remote(), time.monotonic(), WAITING_SECONDS
        while not self._ray.wait([answer], timeout=0.2)[0]:
            if self._stopping or self._killed:
                self._ray.kill(actor)
                raise GivenUp
            if time.monotonic() - began > tell_after:
                tell_after *= 2
                say(self._why_waiting())
        self._machine, there = self._get(answer)
        if differing := differences(versions(), there):
            raise EnvironmentFault(
                f"node {self._machine} has {differing}; its runs would not be those of this machine: "
                "install the same on every node"
            )
        self._actor = actor

    def _why_waiting(self) -> str:
        nodes = self._connection.nodes()
        cores, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
        wanted = f"{self.threads} of its cores" + (" and a GPU" if self.gpu is not None else "")
        return (
            f"waiting for a node that has {wanted} free; the cluster has {len(nodes)} nodes with {cores} cores and "
            f"{gpus} GPUs in all: start another with `ray start --address=...`, or Ctrl-C ends the wait"
        )

    def _news(self) -> Iterator[Event]:
        """Events of the task in hand, after what belongs to each lies in the run's folder.

        Raises:
            Lost: the node is gone, or sends what cannot be used.
        """
        over = False
        while not over:
            news: News = self._call("listen")
            for parcel in news.parcels:
                if (destination := self._held.get(parcel.run_id)) is None:
                    continue
                try:
                    said = destination.accept(parcel)
                except DamagedParcel as error:
                    raise Lost(f"node {self._machine}: {error}") from error
                except EnvironmentFault as error:
                    yield self._end(parcel.run_id, ending_event(error, destination.job))
                    continue
                if said is not None:
                    say(said)
            for event in news.events:
                if event["event"] == TASK_DONE:
                    yield event
                    return
                if (run_id := event["run_id"]) in self._left:
                    yield self._end(run_id, event) if event["event"] in ENDINGS else event
            over = news.over
        self.cause = self._call("autopsy")

    def _call(self, method: str, *arguments: Any) -> Any:
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
                raise EnvironmentFault(f"node {self._machine}: {reason}") from error
            raise
        except exceptions.RayError as error:
            if any(words in str(error) for words in NOT_INSTALLED):
                raise EnvironmentFault(
                    "a node of the cluster has no cifar-lab like this one; install the same on every node, for the "
                    "Python that Ray was started with there"
                ) from error
            raise Lost(_words(error, self._machine)) from error

    def end_slowly(self) -> None:
        """Ask it to end after its epoch, and end it when it takes its time; called again and again."""
        if (actor := self._actor) is not None and self.ending_since is None:
            self.ending_since = time.monotonic()
            actor.end_slowly.remote()

    def end_group(self) -> None:
        """The node does so by itself."""

    def kill(self) -> None:
        """End it now."""
        self._killed = True
        if (actor := self._actor) is not None:
            self._ray.kill(actor)

    def _leave(self) -> None:
        """Give the place up."""
        actor, self._actor = self._actor, None
        if actor is not None:
            self._ray.kill(actor)

    def close(self) -> None:
        """No more tasks: its process ends, and its place is free."""
        if self._actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get(self._actor.close.remote(), timeout=CLOSE_SECONDS)
            self._leave()


def _words(error: Exception, machine: str) -> str:
    """Why a node does not answer, in a few words."""
    kind = type(error).__name__
    if kind == "OutOfMemoryError":
        return f"Ray ended its process on node {machine}, whose memory ran short"
    return f"node {machine or 'of the cluster'}, or Ray's process on it, is gone ({kind})"
