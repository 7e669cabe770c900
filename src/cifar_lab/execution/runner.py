"""Make these runs exist: data, plan, workers, records. What `run` and `sweep` do, and what a notebook calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cifar_lab.config import CustomModel, ResNet18, Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.core.errors import DataError, EnvironmentFault, LabError, SettingsError
from cifar_lab.core.host import CoreUse, available_cores, free_cores_since
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.local.worker_queries import check_models, prepare_images
from cifar_lab.execution.outcomes import OnEvent, Outcome
from cifar_lab.execution.pace import Pace
from cifar_lab.execution.plan import PlannedRun, plan_runs, share_threads
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.store.failures import Failure, note_event
from cifar_lab.store.locks import WriterLock, one_writer
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, runs_folder
from cifar_lab.training.job import Job

SHOWN_REASONS = 3
"""Failed runs that an exception names."""


@dataclass(frozen=True)
class RunBatch:
    """What `make_runs` found and did, in the order of the plan."""

    planned: Sequence[PlannedRun]
    outcomes: Sequence[Outcome]
    """Of the runs that were not there already."""
    records: Sequence[Record]
    """Of every planned run that is done or diverged."""

    @property
    def exit_code(self) -> int:
        """0: all there; 4: the machine refused; 1: some failed; a failure that all share: its own code."""
        codes = [outcome.exit_code for outcome in self.outcomes if outcome.status == "failed"]
        if not codes:
            return 0
        if EnvironmentFault.exit_code in codes:
            return EnvironmentFault.exit_code
        return codes[0] if len(set(codes)) == 1 and len(codes) == len(self.planned) else 1

    def fault(self, message: str) -> LabError:
        """An exception of the kind of `exit_code`."""
        kinds: tuple[type[LabError], ...] = (SettingsError, DataError, EnvironmentFault)
        return next((kind for kind in kinds if kind.exit_code == self.exit_code), LabError)(message)

    def raise_failed(self) -> None:
        """Do nothing where every run has a record.

        Raises:
            LabError: some failed; names the first few, each with its reason.
        """
        failed = [f"{each.job.name}: {each.reason}" for each in self.outcomes if each.status == "failed"]
        if failed:
            told = failed[:SHOWN_REASONS] + ["…"] * (len(failed) > SHOWN_REASONS)
            raise self.fault(f"{len(failed)} of {count(len(self.planned), 'run')} failed: {'; '.join(told)}")


def make_runs(
    arms: Sequence[Settings],
    context: RunContext,
    *,
    read_test: bool = True,
    until_epoch: int | None = None,
    on_plan: Callable[[Sequence[PlannedRun]], object] | None = None,
) -> RunBatch:
    """Train every arm over its seeds, as far as the runs are not there already, and read their records.

    Args:
        arms: resolved settings; a run that two of them share is made once.
        place: where they are found and made.
        read_test: whether the test split is read after training. A search says no.
        until_epoch: pause each run after this epoch, short of its end; None trains all to their end.
        on_plan: called with the plan when all arms have been accepted and their images are there, before anything is
            trained.

    Raises:
        SettingsError, DataError, EnvironmentFault: before anything is trained; also where another command holds the
            results folder.
        Interrupted, TimeLimit, LabError: a signal or the policy ended it; what was done is kept.
    """
    images, display, began = context.images, context.display, CoreUse.now()
    context.engine.check_devices(arms)
    for settings in arms:
        recipe(settings)  # finds a file of weights or source that is not there, before anything is downloaded
    with one_writer(context.results) as writer:
        try:
            for settings in arms:
                if images.known(settings.data) is None:
                    if context.results.is_dir():  # else bad data would leave it behind
                        writer.take()
                    prepare_images(settings.data, display.preparing)
                images.prepare(settings.data, display.preparing)
            planned = _plan(arms, context, read_test, until_epoch)
            few = context.engine.on_this_machine and len(planned) < available_cores()
            if few and any(run.state != "done" for run in planned):
                planned = share_threads(planned, free_cores_since(began))
            planned = _with_diverged(planned) if context.policy.retry == "all" else planned
            if on_plan is not None:
                writer.take()
                on_plan(planned)
            display.begin(planned)
            outcomes = _make(planned, context, writer)
        finally:
            display.end()
        return RunBatch(planned, outcomes, read_planned(planned))


def _plan(arms: Sequence[Settings], context: RunContext, read_test: bool, until_epoch: int | None) -> list[PlannedRun]:
    return plan_runs(
        arms, context.results, context.images, read_test=read_test, force=context.force, until_epoch=until_epoch
    )


def _with_diverged(planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The plan with the runs that diverged still to make, in spite of their records."""
    return [
        replace(run, state="missing") if run.record is not None and run.record.status == "diverged" else run
        for run in planned
    ]


def _make(planned: Sequence[PlannedRun], context: RunContext, writer: WriterLock) -> list[Outcome]:
    """Make what of the plan is not there; outcomes in its order, those included that are left as they failed before."""
    to_do = [run for run in planned if run.state != "done"]
    outcomes = {
        run.job.run_id: _as_before(run.job, run.failure)
        for run in to_do
        if run.failure is not None and context.policy.retry == "none"
    }
    for outcome in outcomes.values():
        context.display.event(outcome.job, outcome.event())
    jobs = [run.job for run in to_do if run.job.run_id not in outcomes]
    if jobs:
        _preflight([job.settings for job in jobs], context.images)
        context.engine.open()  # before --force discards what no other place could make again
        writer.take()
        make_folder(runs_folder(jobs[0].results))
        _discard([run.job for run in to_do if context.force or (run.state == "missing" and run.record is not None)])

        def on_event(job: Job, event: dict[str, Any]) -> None:
            note_event(RunFolder(job.results, job.run_id), job.settings.label, job.seed, event)
            context.display.event(job, event)

        outcomes |= {each.job.run_id: each for each in _execute(jobs, planned, context, on_event)}
    return [outcomes[run.job.run_id] for run in to_do]


def _as_before(job: Job, failure: Failure) -> Outcome:
    """The outcome of a run that is left as it failed before."""
    reason = f"{failure.reason} (at {failure.when}; not tried again: --retry none)"
    return Outcome(job, "failed", reason, failure.exit_code, kind=failure.kind, attempts=failure.attempts)


def _execute(
    jobs: Sequence[Job], planned: Sequence[PlannedRun], context: RunContext, on_event: OnEvent
) -> list[Outcome]:
    """Make the jobs' runs exist, in processes on the cores or on the GPUs, those that take longest first."""
    gpus = context.engine.gpus() if any(job.settings.runtime.device != "cpu" for job in jobs) else 0
    pace = Pace(planned)
    tasks = make_tasks(jobs, gpus, context.workers)
    tasks.sort(key=lambda task: -sum(pace.seconds(pace.shape(job.settings)) for job in task.jobs))
    return context.engine.execute(tasks, gpus or context.workers, on_event, context.policy)


def _discard(jobs: Sequence[Job]) -> None:
    """Forget all runs of a forced command before the first is made again: after an interruption none is an old one."""
    for job in jobs:
        folder = RunFolder(job.results, job.run_id)
        if folder.path.is_dir():
            with folder.lock():
                folder.discard()


def read_planned(planned: Sequence[PlannedRun]) -> list[Record]:
    """The records of the planned runs that are there now."""
    found = (
        run.record if run.state == "done" else RunFolder(run.job.results, run.job.run_id).read_record()
        for run in planned
    )
    return [record for record in found if record is not None]


def preview_runs(
    arms: Sequence[Settings], context: RunContext, *, read_test: bool = True, until_epoch: int | None = None
) -> list[PlannedRun] | None:
    """The plan without making anything; None where data has not been prepared yet, so that ids are not known."""
    if any(context.images.known(settings.data) is None for settings in arms):
        return None
    return _plan(arms, context, read_test, until_epoch)


def _preflight(arms: Sequence[Settings], images: DatasetCatalog) -> None:
    """Build, in a worker, each model that can fail to build: a model or weights of one's own, downloaded weights.

    Raises:
        SettingsError, WeightsError: it does not build, or its weights do not fit.
    """
    doubtful = {
        settings.model.model_dump_json(): (settings, len(images.prepare(settings.data).classes))
        for settings in arms
        if isinstance(settings.model, CustomModel)
        or settings.model.weights
        or (isinstance(settings.model, ResNet18) and settings.model.pretrained)
    }
    if doubtful:
        check_models(list(doubtful.values()))
