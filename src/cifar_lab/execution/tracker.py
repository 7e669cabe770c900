"""The books that every engine keeps of one command: outcomes so far, tries of each run, and why no more are begun."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cifar_lab.core.errors import EnvironmentFault, Interrupted, LabError, TimeLimit
from cifar_lab.execution.outcomes import OnEvent, Outcome
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.tasks import Task
from cifar_lab.training.job import Job


class RunTracker:
    """What has come of the runs so far; may be told from several threads."""

    def __init__(
        self, tasks: Sequence[Task], policy: Policy, on_event: OnEvent, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs = [job for task in tasks for job in task.jobs]
        self.outcomes: dict[str, Outcome] = {}
        self.policy = policy
        self._on_event = on_event
        self._clock = clock
        self._lost: Counter[str] = Counter()
        self._lock = threading.RLock()

    def tell(self, job: Job, event: dict[str, Any]) -> None:
        """Hand an event on, one at a time."""
        with self._lock:
            self._on_event(job, event)

    def attempts(self, job: Job) -> int:
        """Tries of the run that came to nothing."""
        return self._lost[job.run_id]

    def another_try(self, job: Job) -> bool:
        """Count a try that came to nothing; whether the run may be tried again."""
        with self._lock:
            self._lost[job.run_id] += 1
            return self._lost[job.run_id] <= self.policy.retries

    def end(self, outcome: Outcome) -> None:
        """This is how a run ended."""
        with self._lock:
            self.outcomes[outcome.job.run_id] = outcome
            self._on_event(outcome.job, outcome.event())

    def failed(self) -> list[Outcome]:
        """The runs that have failed, in the order in which they did."""
        with self._lock:
            return [outcome for outcome in self.outcomes.values() if outcome.status == "failed"]

    def stop_reason(self) -> str | None:
        """Why no new run may be begun, in a few words; None while there is nothing against it."""
        if self.policy.deadline is not None and self._clock() >= self.policy.deadline:
            return "the time limit is reached"
        if self.policy.max_failures is not None and len(self.failed()) >= self.policy.max_failures:
            return _failures(len(self.failed()))
        return None

    def result(self, requests: StopRequests) -> list[Outcome]:
        """Every outcome, in the order of the tasks' runs.

        Raises:
            Interrupted: a signal ended it before all runs had ended.
            TimeLimit: so did the policy's deadline.
            LabError, EnvironmentFault: so did the policy's `max_failures`.
        """
        ended = sum(outcome.status != "interrupted" for outcome in self.outcomes.values())
        if requests.stopping and ended < len(self.jobs):
            state = f"{ended} of {len(self.jobs)} runs have ended, the others keep their last epoch"
            go_on = "give the same command again (without --force) to go on"
            if requests.signum is not None:
                raise Interrupted(f"stopped; {state}; {go_on}", requests.signum)
            failed = self.failed()
            if self.policy.max_failures is None or len(failed) < self.policy.max_failures:
                raise TimeLimit(f"stopped, {requests.why}; {state}; {go_on}")
            of_machine = any(each.exit_code == EnvironmentFault.exit_code for each in failed)
            kind = EnvironmentFault if of_machine else LabError
            last = f"the last: {failed[-1].job.name}: {failed[-1].reason}"
            raise kind(f"stopped, {requests.why}; {state}; {last}; see to it, then {go_on}")
        return [self.outcomes[job.run_id] for job in self.jobs]


def _failures(number: int) -> str:
    return "1 run has failed" if number == 1 else f"{number:,} runs have failed"
