"""Work at the end of steps and epochs: save checkpoints, report to the parent, check for a stop request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from cifar_lab.core.errors import Interrupted, Paused
from cifar_lab.core.host import utc_now
from cifar_lab.store.records import Environment, EpochMetrics
from cifar_lab.store.results import RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.cohort import Cohort, Member
from cifar_lab.training.events import EpochCompleted, Event, StepCompleted
from cifar_lab.training.job import Job
from cifar_lab.training.thread_guard import ThreadGuard

Tell = Callable[[Job, Event], None]
"""Receives the events of one run."""


@dataclass
class ActiveRun:
    """A run in progress, whose folder is locked."""

    job: Job
    folder: RunFolder
    notes: list[str]
    """Unusual events, for the record."""
    saved: dict[str, Any] | None
    """Checkpoint to resume from, dropped once it is loaded."""
    lock: ExitStack
    """Holds the lock of the folder."""
    member: Member = field(default_factory=Member)
    started: str = field(default_factory=utc_now)
    """UTC time of the start of its first epoch."""
    open: bool = True
    """Whether it has not ended yet."""
    handed: dict[str, Any] | None = None
    """State of the cohort at the end of a stage, to begin the next one from."""
    environment: Environment | None = None
    """Environment of the stage before."""

    def epochs_done(self) -> int:
        """Epochs completed, in the checkpoint or since."""
        return len(self.saved["history"]) if self.saved else len(self.member.history)

    def saved_threads(self) -> int | None:
        """Threads of its first epochs. With torch's kernels another number would round differently."""
        before = self._environment_before()
        return None if before is None else before.threads

    def saved_kernels(self) -> str | None:
        """Kernels of its first epochs. Others would round differently."""
        before = self._environment_before()
        return None if before is None else before.kernels

    def _environment_before(self) -> Environment | None:
        """Environment of the epochs that are completed."""
        return Environment.model_validate(self.saved["environment"]) if self.saved else self.environment

    def start_over(self) -> None:
        """Return to the last checkpoint, or to the beginning."""
        self.handed = self.environment = None
        self.saved, damage = checkpoint.load_newest(self.folder.checkpoint)
        self.member, self.notes = Member(), self.notes + damage

    def pause(self) -> Paused | None:
        """Save the metrics of a run that its job pauses before its last epoch. None for a run that is complete."""
        if self.job.last_epoch == self.job.settings.epochs or self.member.diverged is not None:
            return None
        self.folder.write_metrics(self.member.history)
        return Paused(f"after epoch {self.epochs_done()}")

    def close(self) -> None:
        """Mark the run as ended and unlock its folder."""
        self.open = False
        self.lock.close()

    def continue_from(self, state: dict[str, Any], environment: Environment) -> None:
        """Keep the state at the end of a stage for the next one."""
        self.handed, self.environment = state, environment

    def resume(self, cohort: Cohort, number: int, done: int) -> Environment | None:
        """Load the state after `done` epochs, if any, into member `number`.

        Returns:
            The environment of the epochs of a checkpoint. None for a run that begins, and between two stages.
        """
        anew = cohort.stage.begins_anew(done)
        if self.saved is None:
            if self.handed is not None:
                state, self.handed = self.handed, None
                cohort.load_state(number, state, anew=anew)
            return None
        saved, self.saved = self.saved, None
        cohort.load_state(number, saved["cohort"], anew=anew)
        self.member.history.extend(EpochMetrics.model_validate(line) for line in saved["history"])
        self.started = saved["started"]
        note = f"resumed after epoch {len(self.member.history)}"
        self.notes += [note] * (note not in self.notes)  # a part of a group resumes once more
        return Environment.model_validate(saved["environment"])


WRITERS = 8
"""Threads that save the members of a cohort. Mostly they wait for the disk."""


class CheckpointCallback:
    """Saves the runs of a cohort at the end of epochs and reports their progress."""

    def __init__(
        self,
        runs: Sequence[ActiveRun],
        cohort: Cohort,
        environment: Environment,
        epochs: int,
        tell: Tell,
        should_stop: Callable[[], bool],
        guard: ThreadGuard,
        use_threads: Callable[[int], None],
    ) -> None:
        self.runs = runs
        self.cohort = cohort
        self.environment = environment
        self.epochs = epochs
        self.tell = tell
        self.should_stop = should_stop
        self.guard, self.use_threads = guard, use_threads
        self._pool = ThreadPoolExecutor(WRITERS) if len(runs) > 1 else None
        self._writing: list[Future[None]] = []
        self._least_seconds, self._saved_at = runs[0].job.settings.runtime.checkpoint_seconds, time.monotonic()
        if guard.threads < environment.threads:
            self._use_threads()

    def __enter__(self) -> CheckpointCallback:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Report the position in the epoch to the parent."""
        self.tell(self.runs[0].job, StepCompleted(epoch, step, steps, loss, accuracy))
        self._check_threads(epoch)

    def epoch(self, members: Sequence[Member]) -> None:
        """Report the epoch, save the state that the next one needs if it is time to, and stop if requested.

        Members of a cohort are saved in parallel while the next epoch trains. Many small files would take as long as
        the epoch.

        Raises:
            Interrupted: a stop was requested and epochs remain.
            EnvironmentFault: this or the previous checkpoint cannot be written.
        """
        healthy = [(number, run) for number, run in enumerate(self.runs) if run.member.diverged is None]
        last = max((run.member.history[-1].epoch for _, run in healthy), default=self.epochs)
        is_due = self._pauses_after(last) or time.monotonic() - self._saved_at >= self._least_seconds
        if is_due:
            self._save(healthy, self._report)
        else:
            for _, run in healthy:
                self._report(run, run.member.history[-1])
        if last == self.epochs:
            return
        self._check_threads(last + 1)
        if self.should_stop():
            if not is_due:
                self._save(healthy)
            self.wait_for_writes()
            raise Interrupted(f"stopped after epoch {last}, whose checkpoint is kept")

    def _pauses_after(self, epoch: int) -> bool:
        """Whether another command continues after the epoch. After the last one follows the record."""
        return epoch == self.epochs < self.runs[0].job.settings.epochs

    def _save(
        self,
        healthy: Sequence[tuple[int, ActiveRun]],
        written: Callable[[ActiveRun, EpochMetrics], None] = lambda run, line: None,
    ) -> None:
        """Save the runs, and call `written` once each is on disk."""
        self.wait_for_writes()
        self._saved_at = time.monotonic()
        numbers = [number for number, _ in healthy]
        states = [self.cohort.state(0)] if numbers == [0] else self.cohort.states(numbers)
        for (_, run), state in zip(healthy, states, strict=True):
            history = tuple(run.member.history)
            if self._pool is None:
                self._write(run, state, history, written)
            else:
                self._writing.append(self._pool.submit(self._write, run, state, history, written))

    def wait_for_writes(self) -> None:
        """Wait until all submitted checkpoints are on disk.

        Raises:
            EnvironmentFault: a checkpoint could not be written.
        """
        waiting, self._writing = self._writing, []
        for each in wait(waiting).done:
            each.result()

    def _write(
        self,
        run: ActiveRun,
        state: dict[str, Any],
        history: Sequence[EpochMetrics],
        written: Callable[[ActiveRun, EpochMetrics], None],
    ) -> None:
        checkpoint.save(
            run.folder.checkpoint,
            {
                "cohort": state,
                "history": [line.model_dump() for line in history],
                "environment": self.environment.model_dump(),
                "started": run.started,
            },
        )
        run.folder.write_metrics(history)
        written(run, history[-1])

    def _report(self, run: ActiveRun, line: EpochMetrics) -> None:
        self.tell(run.job, EpochCompleted(**line.model_dump()))

    def _check_threads(self, epoch: int) -> None:
        """Continue with other threads if other programs take cores or leave them."""
        if self.guard.check(epoch) is None:
            return
        self._use_threads()
        for run in self.runs:
            run.notes.append(self.guard.notes[-1])

    def _use_threads(self) -> None:
        """Use the threads of the guard from now on."""
        self.use_threads(self.guard.threads)
        self.environment = self.environment.model_copy(update={"threads": self.guard.threads})
