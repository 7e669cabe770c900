"""Training of the runs of a plan that are missing: the fourth stage of `execution.runner`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cifar_lab.config import Settings
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.core.host import print_status
from cifar_lab.execution.cores import model_key, share_cores, share_gpu_host
from cifar_lab.execution.cost import RunSeconds
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.execution.tracker import Outcome
from cifar_lab.store.failures import Failure, note_failure, remove_failure
from cifar_lab.store.left_out import skip
from cifar_lab.store.locks import HeldError
from cifar_lab.store.results import RunFolder, runs_folder
from cifar_lab.store.writers import WriterLock
from cifar_lab.training.events import DeviceChosen, Event, ModelBuilt, RunOutcome, WarningIssued
from cifar_lab.training.job import Job

if TYPE_CHECKING:
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.plan import PlannedRun


def train_missing(planned: Sequence[PlannedRun], context: RunContext, writer: WriterLock) -> list[Outcome]:
    """Make the missing runs. Outcomes in the order of the plan, with earlier failures that are not retried.

    Raises:
        SettingsError, WeightsError, EnvironmentFault: before any training, while runs on disk are unchanged.
        Interrupted, TimeLimit, LabError: a signal or the policy stopped it.
    """
    to_do = [run for run in planned if run.state != "done"]
    _name_damage(to_do)
    outcomes = _earlier_failures(to_do, context) if context.policy.retry == "none" else {}
    jobs = [run.job for run in to_do if run.job.run_id not in outcomes]
    if jobs:
        built = _preflight([job.settings for job in jobs], context) or {}
        jobs = [replace(job, resumable=_resumable(job, built)) for job in jobs]
        context.trials.tell_kernels([job.settings for job in jobs], built)
        context.engine.open()  # before --force discards runs that could not be made again without it
        writer.take()
        make_folder(runs_folder(jobs[0].results))
        _discard([run.job for run in to_do if context.force])
        _discard_diverged([run for run in to_do if run.state == "missing" and run.record is not None])
        outcomes |= {outcome.job.run_id: outcome for outcome in _train(jobs, planned, context, built)}
    return [outcomes[run.job.run_id] for run in to_do]


def _resumable(job: Job, built: Mapping[str, ModelBuilt]) -> bool:
    answer = built.get(model_key(job.settings))
    return answer is None or answer.resumable


def _name_damage(runs: Sequence[PlannedRun]) -> None:
    """Name the damage because of which runs are made again."""
    for run in runs:
        if run.damage is not None:
            path, what = run.damage
            skip(f"{path}: {what}; the run is made again")


def _earlier_failures(runs: Sequence[PlannedRun], context: RunContext) -> dict[str, Outcome]:
    """Outcomes of runs that failed in an earlier command, by run id. They are displayed."""
    found = {run.job.run_id: _earlier_failure(run.job, run.failure) for run in runs if run.failure is not None}
    for outcome in found.values():
        context.display.event(outcome.job, outcome.event())
    return found


def _earlier_failure(job: Job, failure: Failure) -> Outcome:
    """Outcome of a failed run of an earlier command that is not retried."""
    reason = f"{failure.reason} (at {failure.when}; not retried: --retry none)"
    return Outcome(job, "failed", reason, failure.exit_code, kind=failure.kind, attempts=failure.attempts)


def _train(
    jobs: Sequence[Job], planned: Sequence[PlannedRun], context: RunContext, built: Mapping[str, ModelBuilt]
) -> list[Outcome]:
    """Divide the jobs into tasks, the longest first, and let the engine execute them."""
    gpus = context.engine.gpus() if any(job.settings.runtime.device != "cpu" for job in jobs) else 0
    jobs, workers = _share(jobs, gpus, context, built)
    run_seconds = RunSeconds(planned)
    tasks = make_tasks(jobs, gpus, context.workers)
    tasks.sort(key=lambda task: -sum(run_seconds.seconds_per_run(run_seconds.shape(job.settings)) for job in task.jobs))

    def on_event(job: Job, event: Event) -> None:
        if isinstance(event, WarningIssued):
            skip(event.text)
            return
        _record_failure(job, event)
        context.display.event(job, event)

    return context.engine.execute(tasks, gpus or workers, on_event, context.policy)


def _share(
    jobs: Sequence[Job], gpus: int, context: RunContext, built: Mapping[str, ModelBuilt]
) -> tuple[list[Job], int | None]:
    """The jobs with their CPU threads, and the number of workers on the CPU."""
    cores, workers = context.engine.cores(), context.workers
    on_gpu: list[Job] = []
    on_cpu: list[Job] = []
    for job in jobs:
        (on_gpu if gpus and job.settings.runtime.device != "cpu" else on_cpu).append(job)
    if not on_cpu:
        return share_gpu_host(on_gpu, cores), workers
    shares = share_cores(on_cpu, cores, workers, built)
    if context.engine.on_this_machine and not gpus:
        workers = shares.side_by_side
        if shares.cut is not None:
            print_status(shares.cut)
    return [*share_gpu_host(on_gpu, cores), *shares.jobs], workers


def _record_failure(job: Job, event: Event) -> None:
    """Keep failure.json in agreement with the events of a run."""
    folder = RunFolder(job.results, job.run_id)
    if isinstance(event, RunOutcome) and event.elsewhere:
        return
    if isinstance(event, RunOutcome) and event.status == "failed":
        assert event.kind is not None
        assert event.reason is not None
        note_failure(
            folder, job.settings.label, job.seed,
            kind=event.kind, reason=event.reason, exit_code=event.exit_code, attempts=event.attempts,
        )  # fmt: skip
    elif isinstance(event, DeviceChosen) or (isinstance(event, RunOutcome) and event.status != "held"):
        remove_failure(folder)


def _discard(jobs: Sequence[Job]) -> None:
    """Discard the runs of a forced command before the first one starts, so that an interruption leaves no old run.

    Raises:
        HeldError: another command holds one of them. Then none is discarded.
    """
    folders = [folder for job in jobs if (folder := RunFolder(job.results, job.run_id)).path.is_dir()]
    for folder in folders:
        if (holder := folder.holder()) is not None:
            raise HeldError(folder.path, holder)
    for folder in folders:
        with folder.lock():
            folder.discard()


def _discard_diverged(runs: Sequence[PlannedRun]) -> None:
    """Discard runs that diverged and are retried, unless another command retries them or has done so."""
    for run in runs:
        folder = RunFolder(run.job.results, run.job.run_id)
        with contextlib.suppress(HeldError), folder.lock(at_once=True):
            if folder.read_record() == run.record:
                folder.discard()


def _preflight(arms: Sequence[Settings], context: RunContext) -> Mapping[str, ModelBuilt]:
    """Try each model that can fail to build or to train. Returns the answers by `model_key`.

    Raises:
        SettingsError, WeightsError: a model does not build or train, or its weights do not fit.
    """
    return context.trials.check(arms, context.images, context.results)
