"""A worker process somewhere on the cluster, as the driver sees it: it speaks as `child.WorkerProcess` does.

Where its node or Ray's own process there dies, it goes on elsewhere by itself, from the epochs that have come back.
What becomes of a run whose process died is for the slot to decide, as on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cifar_lab.core.errors import EnvironmentFault, LabError
from cifar_lab.execution.failure_classification import ending_event
from cifar_lab.execution.outcomes import ENDINGS
from cifar_lab.execution.protocol import STOP, TASK_DONE, decode_task, encode_task
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.delivery import DamagedParcel, Destination
from cifar_lab.execution.ray.messages import say
from cifar_lab.execution.ray.node_actor import GivenUp, Lost, NodeHandle
from cifar_lab.execution.ray.object_store import ObjectStore
from cifar_lab.execution.ray.transfers import NodeUpdate, outward
from cifar_lab.store.failures import Kind
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job

MOST_LOSSES = 3
"""Nodes that a task may lose in a row without a new epoch; then its runs have failed."""

Event = dict[str, Any]


class RemoteWorker:
    """One worker of a slot; gets its place on the cluster when it has a task."""

    def __init__(self, connection: Connection, stock: ObjectStore, threads: int, gpu: int | None) -> None:
        self.threads, self.gpu = threads, gpu
        self.ending_since: float | None = None
        """Moment of `time.monotonic` of the first `end_slowly`."""
        self.cause: tuple[Kind, str, str | None] = ("killed", "it was ended", None)
        """(kind, reason, where it was when it was asked to end) of its end."""
        self._place, self._stock = NodeHandle(connection, threads, gpu), stock
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
        self._place.tell("stop")

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
                    self._place.leave()
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
        if not self._place.is_settled:
            self._place.settle(lambda: self._stopping or self._killed)
        cohorts, lanes = self._task
        left = [[job for job in cohort if job.run_id in self._left] for cohort in cohorts]
        jobs = [job for cohort in left for job in cohort]
        images = {job.fingerprint: job.settings.data for job in jobs}
        for fingerprint in self._place.call("lacks", [(data, each) for each, data in images.items()]):
            self._place.call("keep", self._stock.images(images[fingerprint], fingerprint))
            self._place.call("lacks", [(images[fingerprint], fingerprint)])
        files = self._stock.files([job.settings for job in jobs])
        line = encode_task([cohort for cohort in left if cohort], lanes)
        self._place.call("take", line, [outward(job) for job in jobs], list(files), *files.values())
        if self._stopping:
            self._place.tell("stop")
        return {"event": "placed", "run_id": jobs[0].run_id, "machine": self._place.machine}

    def _news(self) -> Iterator[Event]:
        """Events of the task in hand, after what belongs to each lies in the run's folder.

        Raises:
            Lost: the node is gone, or sends what cannot be used.
        """
        over = False
        while not over:
            news: NodeUpdate = self._place.call("listen")
            for parcel in news.parcels:
                if (destination := self._held.get(parcel.run_id)) is None:
                    continue
                try:
                    said = destination.accept(parcel)
                except DamagedParcel as error:
                    raise Lost(f"node {self._place.machine}: {error}") from error
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
        self.cause = self._place.call("autopsy")

    def end_slowly(self) -> None:
        """Ask it to end after its epoch, and end it when it takes its time; called again and again."""
        if self._place.is_settled and self.ending_since is None:
            self.ending_since = time.monotonic()
            self._place.tell("end_slowly")

    def end_group(self) -> None:
        """The node does so by itself."""

    def kill(self) -> None:
        """End it now."""
        self._killed = True
        self._place.kill()

    def close(self) -> None:
        """No more tasks: its process ends, and its place is free."""
        self._place.close()
