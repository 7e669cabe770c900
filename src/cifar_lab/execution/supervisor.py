"""One place for a worker process: it takes tasks from the queue until there are none, and says what becomes of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.text import in_words
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.oom import OomWatch
from cifar_lab.execution.outcomes import ENDINGS, PASSING, Outcome, outcome_of
from cifar_lab.execution.protocol import STOP, TASK_DONE, encode_task
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.task_queue import PullQueue
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import RunTracker
from cifar_lab.execution.watchdog import AttemptWatchdog
from cifar_lab.store.failures import Kind
from cifar_lab.training.job import Job


class WorkerHandle(Protocol):
    """What a slot needs of a worker, wherever its process is; `child.WorkerProcess` says what each part means."""

    threads: int
    gpu: int | None
    ending_since: float | None

    @property
    def pid(self) -> int: ...

    def say(self, line: str) -> None: ...

    def events(self) -> Iterator[dict[str, Any]]: ...

    def end_slowly(self) -> None: ...

    def end_group(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Heard:
    """What came of one task in one process."""

    again: dict[str, Kind] = field(default_factory=dict)
    """Runs that failed and are to be tried again, and why."""
    whole: bool = False
    """Whether the worker came to the end of its task."""
    failed: bool = False
    """Whether a run failed in it."""
    death: Kind | None = None
    """Why the process ended before that."""


class WorkerSupervisor:
    """`work` runs in a thread of its own; `look`, `stop` and `kill` are called from others."""

    def __init__(self, queue: PullQueue, course: RunTracker, requests: StopRequests, oom_watch: OomWatch) -> None:
        self.queue, self.course, self.requests, self.oom_watch = queue, course, requests, oom_watch
        self.worker: WorkerHandle | None = None
        self.fault: Exception | None = None
        """What went wrong in this thread and is for `execute` to raise."""
        self._clock: AttemptWatchdog | None = None
        self._jobs: dict[str, Job] = {}
        self._changing = threading.Lock()

    def work(self) -> None:
        """Make runs until the queue is empty or closed."""
        try:
            while (task := self._next()) is not None:
                try:
                    self._try(task)
                finally:
                    self.queue.finished()
        except Exception as error:
            self.fault = error
            self.queue.close()
        finally:
            self._dismiss()

    def _next(self) -> Task | None:
        task = self.queue.take(wait=False)
        if task is None:  # what is still to come is to have the machine's memory
            self._dismiss()
            task = self.queue.take(wait=True)
        return task

    def _try(self, task: Task) -> None:
        """Give a task to a worker once; runs that are worth another try go back to the queue."""
        left = {job.run_id: job for job in task.jobs}
        try:
            worker = self._worker_for(task)
        except OSError as error:
            reason = f"its process cannot be started ({error.strerror or error}); close other programs"
            for job in left.values():
                self.course.end(Outcome(job, "failed", reason, EnvironmentFault.exit_code, kind="environment"))
            return
        for job in left.values():
            self.course.tell(job, {"event": "started"})
        with self._changing:
            self._clock, self._jobs = AttemptWatchdog(left), dict(left)
        worker.say(encode_task(task.cohorts, task.lanes))
        if self.requests.stopping:  # the wish came before there was a worker to hear it
            worker.say(STOP)
        heard = self._listen(worker, left)
        with self._changing:
            clock, self._clock = self._clock, None
        assert clock is not None
        if left.keys() > heard.again.keys() or not heard.whole or worker.ending_since is not None:
            self._bury(worker, clock, left, heard)
        if not heard.whole or heard.failed:  # what a failure left behind in its process is not known
            self._dismiss()
        for alone in (False, True):
            runs = {run_id for run_id in left if (heard.again.get(run_id, heard.death) == "oom") == alone}
            if runs:
                part = task.only(runs)
                self.queue.give_back(Task(part.cohorts, 1, part.gpu) if alone else part, alone=alone)

    def _listen(self, worker: WorkerHandle, left: dict[str, Job]) -> _Heard:
        """Take in what the worker tells of the runs in `left`, and take those out of it that have ended."""
        clock, heard = self._clock, _Heard()
        assert clock is not None
        for event in worker.events():
            if event["event"] == TASK_DONE:
                heard.whole = True
                break
            job = left.get(event.pop("run_id"))
            if job is None:
                continue
            if event["event"] == "interrupted" and not self.requests.stopping:  # it was told to end: see _bury
                continue
            ending = event["event"] in ENDINGS
            clock.heard(job.run_id, ended=ending)
            if not ending:
                self.course.tell(job, event)
            else:
                self._take_in(outcome_of(job, event, self.course.attempts(job) + 1), left, heard)
        return heard

    def _take_in(self, outcome: Outcome, left: dict[str, Job], heard: _Heard) -> None:
        """A run has ended, by its own account."""
        job, kind, reason = outcome.job, outcome.kind, outcome.reason or ""
        heard.failed = heard.failed or outcome.status == "failed"
        if kind in PASSING and not self.requests.stopping:
            assert kind is not None
            self._try_again_or_fail(job, kind, reason, outcome, left, heard)
        else:
            del left[job.run_id]
            self.course.end(outcome)

    def _bury(self, worker: WorkerHandle, clock: AttemptWatchdog, left: dict[str, Job], heard: _Heard) -> None:
        """Say what becomes of the runs whose process died or was ended; those for another try stay in `left`."""
        late = clock.late(self.course.policy.run_seconds) if self.course.policy.run_seconds is not None else set()
        to_blame = (late if worker.ending_since is not None else clock.under_way()) & left.keys() or left.keys()
        heard.death, reason = self._autopsy(worker, heard.whole)
        heard.whole = False
        for run_id, job in list(left.items()):
            if self.requests.stopping:
                del left[run_id]
                self.course.end(Outcome(job, "interrupted", reason, attempts=self.course.attempts(job) + 1))
            elif run_id in to_blame and run_id not in heard.again:
                failure = Outcome(job, "failed", reason, 1, kind=heard.death)
                self._try_again_or_fail(job, heard.death, reason, failure, left, heard)

    def _try_again_or_fail(
        self, job: Job, kind: Kind, reason: str, failure: Outcome, left: dict[str, Job], heard: _Heard
    ) -> None:
        if self.course.another_try(job):
            heard.again[job.run_id] = kind
            attempt = self.course.attempts(job) + 1
            self.course.tell(job, {"event": "retry", "reason": reason, "attempt": attempt, "alone": kind == "oom"})
            return
        tries = self.course.attempts(job)
        del left[job.run_id]
        told = f"{reason} (tried {tries} times)" if tries > 1 else reason
        self.course.end(replace(failure, reason=told, attempts=tries))

    def _autopsy(self, worker: WorkerHandle, whole: bool) -> tuple[Kind, str]:
        """(kind, reason) of a process's end; `whole`: it came to the end of its task and is still there."""
        assert isinstance(worker, WorkerProcess)
        timed_out = worker.ending_since is not None
        if timed_out or whole:
            worker.kill()
        code = worker.process.wait()
        if timed_out:
            place = worker.place()
            where = f"; it was at {place}" if place else ""
            return "timeout", f"took longer than {in_words(self.course.policy.run_seconds or 0)} (--run-timeout){where}"
        if whole:
            return "killed", "its process was told to end by SIGTERM"
        if code == -signal.SIGKILL and self.oom_watch.struck():
            return "oom", "out of memory: the kernel ended its process"
        if worker.ran_out_of_memory():
            return "oom", f"out of memory: {worker.cause_of_death()}"
        return "killed", worker.cause_of_death()

    def _worker_for(self, task: Task) -> WorkerHandle:
        """The slot's worker; another where the task wants another number of threads or another GPU."""
        wanted = (task.jobs[0].threads, task.gpu)
        if self.worker is not None and (self.worker.threads, self.worker.gpu) != wanted:
            self._dismiss()
        if self.worker is None:
            self.worker = self._new_worker(*wanted)
        return self.worker

    def _new_worker(self, threads: int, gpu: int | None) -> WorkerHandle:
        return WorkerProcess(threads, gpu)

    def _dismiss(self) -> None:
        """No more for this worker."""
        with self._changing:
            worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()

    def look(self) -> None:
        """End a process whose runs are late; say it when nothing is heard for long."""
        with self._changing:
            worker, clock, jobs = self.worker, self._clock, self._jobs
            if worker is None or clock is None:
                return
            worker.end_group()
            limit = self.course.policy.run_seconds
            if worker.ending_since is not None or (limit is not None and clock.late(limit)):
                worker.end_slowly()
        if (seconds := clock.quiet_seconds()) is not None:
            for run_id in clock.under_way():
                self.course.tell(jobs[run_id], {"event": "quiet", "seconds": seconds, "pid": worker.pid})

    def stop(self) -> None:
        """Ask the worker to end after its epoch."""
        if (worker := self.worker) is not None:
            worker.say(STOP)

    def kill(self) -> None:
        """End the worker now."""
        if (worker := self.worker) is not None:
            worker.kill()
