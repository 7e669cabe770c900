"""Supervisor of a worker process: it takes tasks from the queue, watches the worker and decides on retries."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.execution.attempt import Attempt, WorkerHandle, autopsy
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.local.worker_pool import WorkerPool
from cifar_lab.execution.protocol import STOP, encode_task
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import TRANSIENT, Outcome, RunTracker
from cifar_lab.execution.watchdog import AttemptWatchdog, OomWatch
from cifar_lab.store.failures import Kind
from cifar_lab.training.events import (
    Event,
    RetryScheduled,
    RunEnd,
    RunFailed,
    RunFinished,
    RunFound,
    RunHeld,
    RunInterrupted,
    RunStarted,
    TaskDone,
    WarningIssued,
    WorkerQuiet,
)
from cifar_lab.training.job import Job

if TYPE_CHECKING:
    from cifar_lab.execution.pull_queue import PullQueue


class WorkerSupervisor:
    """Supervisor of one worker at a time. `work` runs in its thread, other threads call `look`, `stop` and `kill`."""

    def __init__(
        self, queue: PullQueue, tracker: RunTracker, requests: StopRequests, oom_watch: OomWatch,
        pool: WorkerPool | None = None,
    ) -> None:  # fmt: skip
        self.queue, self.tracker, self.requests, self.oom_watch = queue, tracker, requests, oom_watch
        self._pool = pool or WorkerPool()
        self.worker: WorkerHandle | None = None
        self.fault: Exception | None = None
        """Exception of the thread, for `execute` to raise."""
        self._watchdog: AttemptWatchdog | None = None
        self._jobs: dict[str, Job] = {}
        self._changing = threading.Lock()

    def work(self) -> None:
        """Process tasks until the queue is empty or closed."""
        try:
            while (task := self._next()) is not None:
                try:
                    if (free := self._free_part(task)) is not None:
                        self._try(free)
                finally:
                    self.queue.finished(task)
            self._give_back()
        except Exception as error:
            self.fault = error
            self.queue.close()
        finally:
            self._dismiss()

    def _next(self) -> Task | None:
        task = self.queue.take(wait=False)
        if task is None:  # the remaining tasks may be exclusive: leave them the memory of this worker
            self._give_back()
            task = self.queue.take(wait=True)
        return task

    def _free_part(self, task: Task) -> Task | None:
        """The runs of a task that are still to make and that no other command holds. None where there is none."""
        held, ended = self.queue.elsewhere.divide(task)
        for outcome in ended:
            self.tracker.end(outcome)
        if held:
            self.queue.hold_back(task.only(held))
        free = task.only({job.run_id for job in task.jobs} - held - {outcome.job.run_id for outcome in ended})
        return free if free.cohorts else None

    def _try(self, task: Task) -> None:
        """Give a task to a worker once, and put the runs to retry back into the queue."""
        attempt = Attempt({job.run_id: job for job in task.jobs})
        try:
            worker = self._worker_for(task)
        except OSError as error:
            reason = f"its process cannot be started ({error.strerror or error}); close other programs"
            for job in task.jobs:
                self.tracker.end(Outcome(job, "failed", reason, EnvironmentFault.exit_code, kind="environment"))
            return
        for job in task.jobs:
            self.tracker.emit(job, RunStarted())
        watchdog = AttemptWatchdog(attempt.left)
        with self._changing:
            self._watchdog, self._jobs = watchdog, dict(attempt.left)
        worker.say(encode_task(task.cohorts, task.streams))
        if self.requests.stopping:  # the request came before there was a worker to receive it
            worker.say(STOP)
        self._listen(worker, watchdog, attempt)
        with self._changing:
            self._watchdog = None
        unaccounted = attempt.left.keys() > attempt.retries.keys()
        if unaccounted or not attempt.complete or worker.ending_since is not None:
            self._bury(worker, watchdog, attempt)
        if not attempt.complete or attempt.failed:  # a failure may leave its process in an unknown state
            self._dismiss()
        if attempt.held:
            self.queue.hold_back(task.only(attempt.held))
        for alone in (False, True):
            runs = {run for run in attempt.left if (attempt.retries.get(run, attempt.death) == "oom") == alone}
            if runs:
                if alone:
                    self._pool.close_idle()
                rest = task.only(runs)
                self.queue.give_back(Task(rest.cohorts, 1, rest.gpu) if alone else rest, alone=alone)

    def _listen(self, worker: WorkerHandle, watchdog: AttemptWatchdog, attempt: Attempt) -> None:
        """Process the worker's messages until its task or its process ends."""
        for event, run_id in worker.messages():
            if isinstance(event, TaskDone):
                attempt.complete = True
                break
            # A warning of the worker belongs to no run: it is passed on with any.
            job = attempt.left.get(run_id) if run_id else next(iter(attempt.left.values()), None)
            if job is None:
                continue
            if isinstance(event, WarningIssued):
                self.tracker.emit(job, event)
                continue
            # Without a request, the interruption is a SIGTERM to the worker, which _bury deals with.
            if isinstance(event, RunInterrupted) and not self.requests.stopping:
                continue
            watchdog.heard(run_id, ended=isinstance(event, RunEnd))
            self._take_event(job, event, attempt)

    def _take_event(self, job: Job, event: Event, attempt: Attempt) -> None:
        """Act on an event of a run: its end, another command's hold or result, or progress to pass on."""
        match event:
            case RunHeld():
                del attempt.left[job.run_id]
                attempt.held.add(job.run_id)
                self.tracker.emit(job, event)
            case RunFound():
                attempt.found.add(job.run_id)
            case RunFinished() | RunInterrupted() | RunFailed():
                attempts = self.tracker.failed_attempts(job) + 1
                outcome = Outcome.of(job, event, attempts, elsewhere=job.run_id in attempt.found)
                self._end_or_retry(outcome, attempt)
            case _:
                self.tracker.emit(job, event)

    def _end_or_retry(self, outcome: Outcome, attempt: Attempt) -> None:
        """Record an outcome that the worker reported, or schedule a retry after a transient failure."""
        attempt.failed = attempt.failed or outcome.status == "failed"
        if outcome.kind in TRANSIENT and not self.requests.stopping:
            self._retry_or_fail(outcome, attempt)
        else:
            del attempt.left[outcome.job.run_id]
            self.tracker.end(outcome)

    def _bury(self, worker: WorkerHandle, watchdog: AttemptWatchdog, attempt: Attempt) -> None:
        """Decide on the runs whose process died or was ended. Runs to retry stay in `attempt.left`."""
        limit, left = self.tracker.policy.run_seconds, attempt.left
        late = watchdog.late(limit) if limit is not None else set()
        suspects = (late if worker.ending_since is not None else watchdog.running()) & left.keys() or left.keys()
        attempt.death, reason = self._autopsy(worker, attempt.complete)
        attempt.complete = False
        for run_id, job in list(left.items()):
            if self.requests.stopping:
                del left[run_id]
                attempts = self.tracker.failed_attempts(job) + 1
                self.tracker.end(Outcome(job, "interrupted", reason, attempts=attempts))
            elif run_id in suspects and run_id not in attempt.retries:
                self._retry_or_fail(Outcome(job, "failed", reason, 1, kind=attempt.death), attempt)

    def _retry_or_fail(self, failure: Outcome, attempt: Attempt) -> None:
        """Schedule a retry after `failure`, or record it if the policy allows no other attempt."""
        job, kind, reason = failure.job, failure.kind, failure.reason or ""
        assert kind is not None
        if self.tracker.may_retry(job):
            attempt.retries[job.run_id] = kind
            following = self.tracker.failed_attempts(job) + 1
            self.tracker.emit(job, RetryScheduled(reason, following, alone=kind == "oom"))
            return
        attempts = self.tracker.failed_attempts(job)
        del attempt.left[job.run_id]
        told = f"{reason} (tried {attempts} times)" if attempts > 1 else reason
        self.tracker.end(replace(failure, reason=told, attempts=attempts))

    def _autopsy(self, worker: WorkerHandle, complete: bool) -> tuple[Kind, str]:
        """(kind, reason) of a process's end. `complete`: it finished its task and still lives."""
        return autopsy(worker, complete, self.tracker.policy.run_seconds, self.oom_watch)

    def _worker_for(self, task: Task) -> WorkerHandle:
        """The present worker, replaced if the task needs other threads or another GPU."""
        wanted = (task.jobs[0].threads, task.gpu)
        if self.worker is not None and (self.worker.threads, self.worker.gpu) != wanted:
            self._dismiss()
        if self.worker is None:
            self.worker = self._new_worker(*wanted)
        return self.worker

    def _new_worker(self, threads: int, gpu: int | None) -> WorkerHandle:
        return self._pool.take(threads, gpu)

    def _give_back(self) -> None:
        """Return the present worker to the pool. One that was asked to stop would stop in its next task."""
        if isinstance(self.worker, WorkerProcess) and not self.requests.stopping:
            with self._changing:
                worker, self.worker = self.worker, None
            self._pool.give_back(worker)
        else:
            self._dismiss()

    def _dismiss(self) -> None:
        """Close the present worker."""
        with self._changing:
            worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()

    def look(self) -> None:
        """Enforce the time limit and report silence. Called at short intervals."""
        with self._changing:
            worker, watchdog, jobs = self.worker, self._watchdog, self._jobs
            if worker is None or watchdog is None:
                return
            worker.end_group()
            limit = self.tracker.policy.run_seconds
            if worker.ending_since is not None or (limit is not None and watchdog.late(limit)):
                worker.end_slowly()
        if (seconds := watchdog.quiet_seconds()) is not None:
            for run_id in watchdog.running():
                self.tracker.emit(jobs[run_id], WorkerQuiet(seconds, worker.pid))

    def stop(self) -> None:
        """Ask the worker to stop after its epoch."""
        if (worker := self.worker) is not None:
            worker.say(STOP)

    def kill(self) -> None:
        """Kill the worker."""
        if (worker := self.worker) is not None:
            worker.kill()
