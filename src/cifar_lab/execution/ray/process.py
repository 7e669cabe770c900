"""Worker process on the cluster as seen by the driver, with the interface of `local.process.WorkerProcess`.

If its node or Ray's process there is lost, it continues on another node, from the epochs that have arrived. The
supervisor decides on runs whose own process died, as on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from cifar_lab.core.errors import EnvironmentFault, LabError
from cifar_lab.core.host import print_status
from cifar_lab.execution.failure_classification import classify_end
from cifar_lab.execution.protocol import STOP, decode_task, encode_task
from cifar_lab.execution.ray.connect import Connection
from cifar_lab.execution.ray.delivery import DamagedFiles, Destination
from cifar_lab.execution.ray.node_actor import Cancelled, Lost, NodeHandle
from cifar_lab.execution.ray.transfers import NodeUpdate, ObjectStore, outward, teacher_code, teachers
from cifar_lab.store.failures import Kind
from cifar_lab.store.records import Record
from cifar_lab.training.events import (
    EpochCompleted,
    Event,
    Message,
    NodeAssigned,
    RetryScheduled,
    RunEnd,
    RunFound,
    RunInterrupted,
    TaskDone,
)
from cifar_lab.training.job import Job

MOST_LOSSES = 3
"""Nodes that a task may lose in a row without a new epoch. Then its runs fail."""


class RemoteWorker:
    """Worker of a remote supervisor. It acquires its node with its first task."""

    def __init__(self, connection: Connection, store: ObjectStore, threads: int, gpu: int | None) -> None:
        self.threads, self.gpu = threads, gpu
        self.ending_since: float | None = None
        """Value of `time.monotonic` at the first `end_slowly`."""
        self.cause: tuple[Kind, str, str | None] = ("killed", "it was ended", None)
        """(kind, reason, location at SIGTERM) of its end."""
        self._node, self._store = NodeHandle(connection, threads, gpu), store
        self._task: tuple[list[list[Job]], int] = ([], 1)
        self._left: dict[str, Job] = {}
        self._held: dict[str, Destination] = {}
        self._stopping = self._killed = False
        self.pid = 0

    def say(self, line: str) -> None:
        """Send it a task, or STOP."""
        if line != STOP:
            self._task = decode_task(line)
            return
        self._stopping = True
        self._node.tell("stop")

    def messages(self) -> Iterator[Message]:
        """Messages until its task is done or its process has ended.

        Raises:
            EnvironmentFault: a node has other versions or its disk refuses.
        """
        cohorts, _ = self._task
        self._left = {job.run_id: job for cohort in cohorts for job in cohort}
        losses = 0
        try:
            yield from self._hold()
            while self._left:
                try:
                    yield self._begin()
                    for message in self._updates():
                        losses = 0 if isinstance(message.event, EpochCompleted) else losses
                        yield message
                    return
                except Lost as lost:
                    losses += 1
                    self._node.release()
                    self.cause = ("killed", str(lost), None)
                    if losses == MOST_LOSSES or self._stopping or self._killed:
                        return
                    for run_id in self._left:
                        yield Message(RetryScheduled(str(lost), losses + 1, alone=False), run_id)
        except Cancelled:
            for run_id in list(self._left):
                yield Message(RunInterrupted("stopped before it had a place"), run_id)
        finally:
            for destination in self._held.values():
                destination.close()
            self._held = {}
        yield Message(TaskDone())

    def _hold(self) -> Iterator[Message]:
        """Lock the runs' folders. Yields the end of runs that another command holds or has finished."""
        for run_id, job in list(self._left.items()):
            outcome: Record | Exception | None
            try:
                self._held[run_id] = Destination(job)
                outcome = self._held[run_id].first_result()
            except LabError as error:
                outcome = error
            if isinstance(outcome, Record):
                yield Message(RunFound(), run_id)
            if outcome is not None:
                yield self._end(run_id, classify_end(outcome, job))

    def _end(self, run_id: str, event: Event) -> Message:
        """Unlock the folder of a run whose last event is `event`."""
        del self._left[run_id]
        if (destination := self._held.pop(run_id, None)) is not None:
            destination.close()
        return Message(event, run_id)

    def _begin(self) -> Message:
        """Send the rest of the task to a node.

        Raises:
            Lost, Cancelled: there is no node.
            EnvironmentFault: as `messages`.
        """
        if not self._node.is_acquired:
            self._node.acquire(lambda: self._stopping or self._killed)
        cohorts, streams = self._task
        left = [[job for job in cohort if job.run_id in self._left] for cohort in cohorts]
        jobs = [job for cohort in left for job in cohort]
        images = {job.fingerprint: job.settings.data for job in jobs}
        for fingerprint in self._node.call("lacks", [(data, each) for each, data in images.items()]):
            self._node.call("keep", self._store.images(images[fingerprint], fingerprint))
            self._node.call("lacks", [(images[fingerprint], fingerprint)])
        files = self._store.files([job.build_settings for job in jobs], teacher_code(jobs))
        line = encode_task([cohort for cohort in left if cohort], streams)
        runs = [*map(outward, jobs), *teachers(jobs)]
        self._node.call("take", line, runs, list(files), *files.values())
        if self._stopping:
            self._node.tell("stop")
        return Message(NodeAssigned(self._node.machine), jobs[0].run_id)

    def _updates(self) -> Iterator[Message]:
        """Messages of the present task. The files that belong to each are written first.

        Raises:
            Lost: the node is lost, or sends damaged files.
        """
        over = False
        while not over:
            update: NodeUpdate = self._node.call("listen")
            yield from self._write(update)
            for event, run_id in update.messages:
                if isinstance(event, TaskDone):
                    yield Message(event)
                    return
                if run_id in self._left:
                    yield self._end(run_id, event) if isinstance(event, RunEnd) else Message(event, run_id)
            over = update.over
        self.cause = self._node.call("autopsy")

    def _write(self, update: NodeUpdate) -> Iterator[Message]:
        """Write the files of an update. Yields the end of runs whose folder refuses them."""
        for files in update.run_files:
            if (destination := self._held.get(files.run_id)) is None:
                continue
            try:
                notice = destination.accept(files)
            except DamagedFiles as error:
                raise Lost(f"node {self._node.machine}: {error}") from error
            except EnvironmentFault as error:
                yield self._end(files.run_id, classify_end(error, destination.job))
                continue
            if notice is not None:
                print_status(notice)

    def end_slowly(self) -> None:
        """Ask it to stop after its epoch. The node kills it after a grace period. Called repeatedly."""
        if self._node.is_acquired and self.ending_since is None:
            self.ending_since = time.monotonic()
            self._node.tell("end_slowly")

    def end_group(self) -> None:
        """Does nothing, because the node does it."""

    def kill(self) -> None:
        """Kill it."""
        self._killed = True
        self._node.kill()

    def close(self) -> None:
        """End its process and release its node."""
        self._node.close()
