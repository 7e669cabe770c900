"""Runs on this machine: worker processes that each make one task after another. The parent never imports torch."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cifar_lab.engines.child import WorkerProcess
from cifar_lab.engines.protocol import STOP, TASK_DONE, encode_task
from cifar_lab.engines.signals import StopRequests
from cifar_lab.engines.tasks import Task
from cifar_lab.errors import EnvironmentFault, Interrupted
from cifar_lab.plan import Job

ENDINGS = ("finished", "interrupted", "failed")
"""Events of a worker that end a run."""

MAX_ATTEMPTS = 2
"""A run whose process died is tried once more, in a fresh process, from its last epoch."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    job: Job
    status: Literal["done", "diverged", "paused", "failed", "interrupted"]
    reason: str | None = None
    exit_code: int = 0
    traceback: str | None = None


OnEvent = Callable[[Job, dict[str, Any]], None]


def execute(tasks: Sequence[Task], slots: int, on_event: OnEvent) -> list[Outcome]:
    """Make the runs of every task exist, `slots` tasks at a time; outcomes in the order of the tasks' runs.

    `on_event` hears each worker's events, one call at a time. SIGINT or SIGTERM once: no new run is begun, the runs
    under way end after their epoch; twice: they are ended at once. Both leave what is needed to go on.

    Raises:
        Interrupted: a signal ended it; carries the exit code, and the outcomes so far are told by events.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    jobs = [job for task in tasks for job in task.jobs]
    outcomes: dict[str, Outcome] = {}
    lock = threading.Lock()

    def tell(job: Job, event: dict[str, Any]) -> None:
        with lock:
            on_event(job, event)

    with StopRequests() as requests:
        slot_objects = [_Slot(waiting, outcomes, tell, requests) for _ in range(min(slots, len(tasks)))]

        def stop_all() -> None:
            with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
                print("stopping after this epoch; Ctrl-C again stops at once", file=sys.stderr, flush=True)
            for slot in slot_objects:
                slot.stop()

        def kill_all() -> None:
            for slot in slot_objects:
                slot.kill()

        requests.on_stop(stop_all)
        requests.on_kill(kill_all)
        threads = [threading.Thread(target=slot.work, daemon=True) for slot in slot_objects]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=0.1)
                    requests.enforce_deadline()
        finally:
            kill_all()
        for slot in slot_objects:
            if slot.fault is not None:
                raise slot.fault
        ended = sum(outcome.status != "interrupted" for outcome in outcomes.values())
        if requests.signum is not None and ended < len(jobs):
            raise Interrupted(
                f"stopped; {ended} of {len(jobs)} runs have ended, the others keep their last epoch; "
                "give the same command again (without --force) to go on",
                requests.signum,
            )
    return [outcomes[job.run_id] for job in jobs]


class _Slot:
    """One place for a worker; takes tasks from the queue until there are none."""

    def __init__(
        self,
        waiting: queue.SimpleQueue[Task],
        outcomes: dict[str, Outcome],
        tell: OnEvent,
        requests: StopRequests,
    ) -> None:
        self.waiting, self.outcomes, self.tell, self.requests = waiting, outcomes, tell, requests
        self.worker: WorkerProcess | None = None
        self.fault: Exception | None = None

    def work(self) -> None:
        """Make runs until the queue is empty or a stop is asked for; what goes wrong here is for `execute` to raise."""
        try:
            self._work()
        except Exception as error:
            self.fault = error
        finally:
            if self.worker is not None:
                self.worker.close()

    def _work(self) -> None:
        while not self.requests.stopping:
            try:
                task = self.waiting.get_nowait()
            except queue.Empty:
                break
            self._make(task)

    def _make(self, task: Task) -> None:
        left = {job.run_id: job for job in task.jobs}
        reason = ""
        for _ in range(MAX_ATTEMPTS):
            try:
                worker = self._worker_for(task)
            except OSError as error:
                reason = f"its process cannot be started ({error.strerror or error}); close other programs"
                self._end_all(left, "failed", reason, EnvironmentFault.exit_code)
                return
            for job in left.values():
                self.tell(job, {"event": "started"})
            worker.say(encode_task(task.only(set(left)).cohorts, task.lanes))
            if self.requests.stopping:  # the wish came before there was a worker to hear it
                worker.say(STOP)
            if self._listen(worker, left):
                return
            reason = worker.cause_of_death()
            self.worker = None
            if self.requests.stopping:
                self._end_all(left, "interrupted", reason)
                return
            if not left:
                return
        self._end_all(left, "failed", reason, exit_code=1)

    def _worker_for(self, task: Task) -> WorkerProcess:
        """The slot's worker; another where the task wants another number of threads or another GPU."""
        wanted = (task.jobs[0].threads, task.gpu)
        if self.worker is not None and (self.worker.threads, self.worker.gpu) != wanted:
            self.worker.close()
            self.worker = None
        if self.worker is None:
            self.worker = WorkerProcess(*wanted)
        return self.worker

    def _listen(self, worker: WorkerProcess, left: dict[str, Job]) -> bool:
        """Take in what the worker tells of the runs in `left`; whether it came to the end of its task."""
        failed = False
        for event in worker.events():
            if event["event"] == TASK_DONE:
                if failed:  # what that left behind in its process is not known
                    worker.close()
                    self.worker = None
                return True
            job = left.get(event.pop("run_id"))
            if job is None:
                continue
            if event["event"] in ENDINGS:
                failed = failed or event["event"] == "failed"
                del left[job.run_id]
                self._end(_outcome(job, event))
            else:
                self.tell(job, event)
        return False

    def _end_all(
        self, left: dict[str, Job], status: Literal["failed", "interrupted"], reason: str, exit_code: int = 0
    ) -> None:
        for job in left.values():
            self._end(Outcome(job, status, reason, exit_code))

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job.run_id] = outcome
        self.tell(outcome.job, {"event": "outcome", "status": outcome.status, "reason": outcome.reason})

    def stop(self) -> None:
        """Ask the worker to end after its epoch."""
        if (worker := self.worker) is not None:
            worker.say(STOP)

    def kill(self) -> None:
        """End the worker now."""
        if (worker := self.worker) is not None:
            worker.process.kill()


def _outcome(job: Job, event: dict[str, Any]) -> Outcome:
    if event["event"] == "finished":
        return Outcome(job, event["status"], event["reason"])
    if event["event"] == "interrupted":
        return Outcome(job, "interrupted", event["reason"])
    return Outcome(job, "failed", event["reason"], event["exit_code"], event.get("traceback"))
