"""Limits of a command, and the outcomes and attempts of its runs, shared by all engines."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from cifar_lab.core.errors import EnvironmentFault, Interrupted, LabError, SettingsError, TimeLimit
from cifar_lab.execution.signals import StopRequests
from cifar_lab.store.failures import Kind
from cifar_lab.training.events import Event, RunEnd, RunFailed, RunFinished, RunHeld, RunOutcome
from cifar_lab.training.job import Job

Retry = Literal["none", "failed", "all"]
"""Runs of an earlier command to attempt again: none, those recorded as failed, or diverged runs as well."""

TRANSIENT: frozenset[Kind] = frozenset({"killed", "oom", "timeout", "import"})
"""Kinds of failure that a fresh process may not meet again. Any other kind would recur."""

OnEvent = Callable[[Job, Event], None]
"""Receives the events of all runs."""


@dataclass(frozen=True)
class Policy:
    """Limits that every engine observes."""

    retries: int = 1
    """Further attempts of a run after a transient failure."""
    run_seconds: float | None = None
    """Time limit of one attempt in seconds. Then its process is ended."""
    max_failures: int | None = None
    """Failed runs after which no new run starts and the running ones stop after their epoch."""
    deadline: float | None = None
    """Value of `time.monotonic` after which no new run starts and the running ones stop after their epoch."""
    retry: Retry = "failed"
    """Treatment of runs that an earlier command ended badly. Decided before an engine is called."""
    wait: bool = False
    """Whether to wait for runs that other commands hold, and not to skip them."""

    def __post_init__(self) -> None:
        """Validate the limits.

        Raises:
            SettingsError: `retries` is negative, `max_failures` is below 1, or `retry` is unknown.
        """
        if self.retries < 0:
            raise SettingsError(f"retries: {self.retries} is below 0; write 0 for a single attempt")
        if self.max_failures is not None and self.max_failures < 1:
            raise SettingsError(f"max_failures: {self.max_failures} is below 1; omit it to continue after failures")
        if self.retry not in get_args(Retry):
            raise SettingsError(f"retry: {self.retry!r} is not one of: {', '.join(get_args(Retry))}")


@dataclass(frozen=True)
class Outcome:
    """Final result of one job."""

    job: Job
    status: Literal["done", "diverged", "paused", "failed", "interrupted", "held"]
    reason: str | None = None
    exit_code: int = 0
    traceback: str | None = None
    kind: Kind | None = None
    """Kind of the failure. None for other results."""
    attempts: int = 1
    """Attempts in this command, each in one process."""
    val_accuracy: float | None = None
    """Of a run that is done and has a validation split."""
    test_accuracy: float | None = None
    """Of a run that is done and was tested."""
    elsewhere: bool = False
    """Whether another command made the run after this one began."""

    @classmethod
    def of(cls, job: Job, event: RunEnd, attempts: int = 1, *, elsewhere: bool = False) -> Outcome:
        """Outcome of an attempt from the last event of its worker."""
        if isinstance(event, RunFinished):
            val, test = event.val_accuracy, event.test_accuracy
            return cls(
                job, event.status, event.reason, attempts=attempts, val_accuracy=val, test_accuracy=test,
                elsewhere=elsewhere,
            )  # fmt: skip
        if isinstance(event, RunHeld):
            return cls(job, "held", f"held by {event.holder}")
        if isinstance(event, RunFailed):
            return cls(job, "failed", event.reason, event.exit_code, event.traceback, event.kind, attempts)
        return cls(job, "interrupted", event.reason, attempts=attempts)

    def event(self) -> RunOutcome:
        """The event for displays. It leaves the traceback out."""
        return RunOutcome(
            self.status, self.reason, self.exit_code, self.kind, self.attempts, self.val_accuracy, self.test_accuracy,
            self.elsewhere,
        )  # fmt: skip


class RunTracker:
    """Track a command's runs: outcomes, attempts per run, and whether to stop scheduling. Thread-safe."""

    def __init__(
        self, jobs: Sequence[Job], policy: Policy, on_event: OnEvent, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs = jobs
        self.outcomes: dict[str, Outcome] = {}
        self.policy = policy
        self._on_event = on_event
        self._clock = clock
        self._failed_attempts: Counter[str] = Counter()
        self._lock = threading.RLock()

    def emit(self, job: Job, event: Event) -> None:
        """Pass an event on, one at a time."""
        with self._lock:
            self._on_event(job, event)

    def failed_attempts(self, job: Job) -> int:
        """Number of attempts of the run that failed."""
        return self._failed_attempts[job.run_id]

    def may_retry(self, job: Job) -> bool:
        """Count a failed attempt. Whether the policy allows another one."""
        with self._lock:
            self._failed_attempts[job.run_id] += 1
            return self._failed_attempts[job.run_id] <= self.policy.retries

    def end(self, outcome: Outcome) -> None:
        """Record the outcome of a run and emit its event."""
        with self._lock:
            self.outcomes[outcome.job.run_id] = outcome
            self._on_event(outcome.job, outcome.event())

    def failed(self) -> list[Outcome]:
        """Failed runs in the order of their failures."""
        with self._lock:
            return [outcome for outcome in self.outcomes.values() if outcome.status == "failed"]

    def stop_reason(self) -> str | None:
        """Reason to start no new run, by the policy. None if there is none."""
        if self.policy.deadline is not None and self._clock() >= self.policy.deadline:
            return "the time limit is reached"
        failures = len(self.failed())
        if self.policy.max_failures is not None and failures >= self.policy.max_failures:
            return "1 run has failed" if failures == 1 else f"{failures:,} runs have failed"
        return None

    def result(self, requests: StopRequests) -> list[Outcome]:
        """All outcomes in the order of `jobs`.

        Raises:
            Interrupted: a signal stopped the command before all runs ended.
            TimeLimit: the policy's deadline did.
            LabError, EnvironmentFault: the policy's `max_failures` did.
        """
        ended = sum(outcome.status != "interrupted" for outcome in self.outcomes.values())
        if requests.stopping and ended < len(self.jobs):
            state = f"{ended} of {len(self.jobs)} runs have ended, the others keep their last completed epoch"
            go_on = "run the same command again (without --force) to resume"
            if requests.signum is not None:
                raise Interrupted(f"stopped; {state}; {go_on}", requests.signum)
            failed = self.failed()
            if self.policy.max_failures is None or len(failed) < self.policy.max_failures:
                raise TimeLimit(f"stopped, {requests.why}; {state}; {go_on}")
            of_machine = any(each.exit_code == EnvironmentFault.exit_code for each in failed)
            kind = EnvironmentFault if of_machine else LabError
            last = f"the last: {failed[-1].job.name}: {failed[-1].reason}"
            raise kind(f"stopped, {requests.why}; {state}; {last}; fix this, then {go_on}")
        return [self.outcomes[job.run_id] for job in self.jobs]
