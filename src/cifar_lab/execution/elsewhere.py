"""Runs of a command as other commands left them since its plan: held, made, or failed. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from cifar_lab.core.errors import DataError
from cifar_lab.execution.plan import run_on_disk
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import Outcome
from cifar_lab.store.failures import failure_mark, read_failure
from cifar_lab.store.results import RunFolder
from cifar_lab.training.job import Job


def holder_of(job: Job) -> str | None:
    """Description of the process that holds the run. None where it is free."""
    return RunFolder(job.results, job.run_id).holder()


class Elsewhere:
    """Watches what other commands make of the runs of this one. A run that failed there is not tried again here."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Remember the failures of earlier commands, which are tried again."""
        folders = [RunFolder(job.results, job.run_id) for job in jobs]
        self._known = {folder.path.name: mark for folder in folders if (mark := failure_mark(folder)) is not None}

    def divide(self, task: Task) -> tuple[set[str], list[Outcome]]:
        """(ids of the runs of a task that others hold, outcomes of those that others made)."""
        held, ended = set(), []
        for job in task.jobs:
            if holder_of(job) is not None:
                held.add(job.run_id)
            elif (outcome := self._outcome(job)) is not None:
                ended.append(outcome)
        return held, ended

    def _outcome(self, job: Job) -> Outcome | None:
        """Result of a run that another command made. None where it is still to make, or to be looked at by a worker."""
        folder = RunFolder(job.results, job.run_id)
        mark = failure_mark(folder)
        if mark not in (None, self._known.get(job.run_id)) and (failure := read_failure(folder)) is not None:
            return Outcome(
                job, "failed", failure.reason, failure.exit_code, kind=failure.kind, attempts=failure.attempts,
                elsewhere=True,
            )  # fmt: skip
        try:
            found = run_on_disk(job)
        except DataError:
            return None
        if found.state != "done":
            return None
        if (record := found.record) is None:
            return Outcome(job, "paused", f"after epoch {job.last_epoch}", elsewhere=True)
        return Outcome(
            job, record.status, record.reason, elsewhere=True,
            val_accuracy=record.val.accuracy if record.val else None,
            test_accuracy=record.test.accuracy if record.test else None,
        )  # fmt: skip
