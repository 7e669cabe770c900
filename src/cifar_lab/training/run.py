"""Runs from settings to records, a single run or a cohort. This is the composition root of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.config.io.load import settings_text
from cifar_lab.config.own_code import own_code
from cifar_lab.config.run_id import recipe
from cifar_lab.core.atomic_io import make_folder, write_text
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.patches import patch_covariance
from cifar_lab.models import count_parameters
from cifar_lab.store.records import Environment, Record
from cifar_lab.store.results import DamagedFileError, RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.backends.choice import KernelChoice, choose_kernels, make_backend
from cifar_lab.training.build import build_cohort, layout, load_training_data
from cifar_lab.training.callbacks import ActiveRun, CheckpointCallback, Tell
from cifar_lab.training.cohort_scores import CohortTraining, score_others, validate
from cifar_lab.training.device import Execution, flushed_subnormals, prepare_execution, settle_threads
from cifar_lab.training.environment import changes, environment
from cifar_lab.training.events import DeviceChosen, Event, RunFound, RunResumed
from cifar_lab.training.features import with_cached_trunk
from cifar_lab.training.final_test import add_test, finish
from cifar_lab.training.job import Job
from cifar_lab.training.loop import train
from cifar_lab.training.own_functions import own_functions
from cifar_lab.training.run_groups import equally_far, parts_after
from cifar_lab.training.teacher import load_teacher
from cifar_lab.training.thread_guard import ThreadGuard

NOT_RESUMED = "{} epochs were trained again: the model has state that a checkpoint cannot keep"
"""Note of a run that could not resume."""

Ended = Callable[[Job, Record | Exception], None]
"""Called when a run ends, with its record or with the exception that prevented one."""


def make_run(job: Job, tell: Callable[[Event], None], should_stop: Callable[[], bool]) -> Record:
    """Make one run: train it from its last checkpoint, and test it if the job asks.

    Raises:
        Interrupted: `should_stop()` returned true at the end of an epoch. That epoch is saved.
        Paused: the run reached `Job.until_epoch`.
        LabError: settings, data, weights or the machine prevent it.
    """
    outcomes: list[Record | Exception] = []
    run_cohort([job], lambda _, event: tell(event), should_stop, lambda _, outcome: outcomes.append(outcome))
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@flushed_subnormals()
def run_cohort(jobs: Sequence[Job], tell: Tell, should_stop: Callable[[], bool], ended: Ended) -> None:
    """Make runs that can train together (see `execution.tasks`), and call `ended` once per run.

    A failure of one run does not affect the others. Runs that resume from different epochs, or with other kernels, are
    trained one group after the other. So are runs that only the block kernel trains together, where it is missing.
    """
    runs: list[ActiveRun] = []
    try:
        for job in jobs:
            try:
                found = _open(job, tell)
            except Exception as error:
                ended(job, error)
                continue
            if isinstance(found, Record):
                ended(job, found)
            else:
                runs.append(found)
        waiting = equally_far(runs)
        while waiting:
            group = waiting.pop(0)
            try:
                _train(group, tell, should_stop, ended)
            except Exception as error:
                if not (parts := parts_after(error, group)):
                    _end(group, error, ended)
                waiting[:0] = parts
    finally:
        for run in runs:
            run.lock.close()


def _open(job: Job, tell: Tell) -> ActiveRun | Record:
    """Return the run's record if it exists, otherwise lock its folder and load its checkpoint."""
    if (now := recipe(job.settings)) != job.recipe:
        own = own_code(job.settings) or [("model.name", job.settings.model.name)]
        what = f"{own[0][0]}: the source or weights of {', '.join(name for _, name in own)}"
        if now["data"] != job.recipe["data"] and job.settings.data.val_indices is not None:
            what = f"data.val_indices: {job.settings.data.val_indices}"
        raise SettingsError(f"{what} changed since this command began; run it again to use the current files")
    folder = RunFolder(job.results, job.run_id)
    make_folder(folder.path, inside=job.results)
    with ExitStack() as lock:
        lock.enter_context(folder.lock(at_once=True))
        damage = folder.set_aside_damage()
        record = folder.read_record()
        if record is not None:
            try:
                if job.read_test and record.test_reason == "search":
                    return add_test(job, folder, record)
                tell(job, RunFound())
                return record
            except DamagedFileError as error:
                aside = folder.set_aside(error.path)
                damage = f"{error.path.name} was damaged; set aside as {aside.name}, and the run trained again"
        write_text(folder.settings, settings_text(job.settings, job.seed))
        saved, notes = checkpoint.load_newest(folder.checkpoint)
        if saved is not None and not job.resumable:
            notes.append(NOT_RESUMED.format(len(saved["history"])))
            saved = None
        return ActiveRun(job, folder, [*([damage] if damage else []), *notes], saved, lock.pop_all())


def _end(runs: Sequence[ActiveRun], error: Exception, ended: Ended) -> None:
    """End the runs of a group with the error that stopped it."""
    for run in runs:
        if run.open:
            run.close()
            ended(run.job, error)


def _train(runs: Sequence[ActiveRun], tell: Tell, should_stop: Callable[[], bool], ended: Ended) -> None:
    """Train runs that have completed equally many epochs, stage by stage, and write their records."""
    training, final = _train_stage(runs, tell, should_stop)
    while _epochs_left(runs):
        for number, run in enumerate(runs):  # the next stage begins as a run that resumes after this one
            run.continue_from(training.cohort.state(number), final)
        training, final = _train_stage(runs, tell, should_stop)
    if _epochs_done(runs) >= runs[0].job.settings.epochs:
        score_others(runs, training)
    _finish(runs, training, final, ended)


def _epochs_left(runs: Sequence[ActiveRun]) -> bool:
    """Whether a run that has not diverged has epochs left."""
    return any(run.member.diverged is None and run.epochs_done() < run.job.last_epoch for run in runs)


def _train_stage(
    runs: Sequence[ActiveRun], tell: Tell, should_stop: Callable[[], bool]
) -> tuple[CohortTraining, Environment]:
    """Train to the end of a stage. Returns what was trained, and the environment of the last epoch."""
    job, done = runs[0].job, _epochs_done(runs)
    first = all(run.environment is None for run in runs)
    training = _prepare(runs, done)
    _report(runs, training, done, tell, first=first)
    scores = None if training.splits.validation is None else partial(validate, training)
    with _callback(runs, training, tell, should_stop) as callback:
        train(
            training.backend,
            [run.member for run in runs],
            start_epoch=done,
            epochs=min(job.last_epoch, training.cohort.stage.stop),
            validate=scores,
            callback=callback,
        )
        callback.wait_for_writes()
    if scores is not None and done == job.settings.epochs:  # trained before, but interrupted before the record
        for run, val in zip(runs, scores(), strict=True):
            run.member.val = val
    return training, callback.environment


def _epochs_done(runs: Sequence[ActiveRun]) -> int:
    """Epochs that the cohort has completed. A member that diverged has fewer."""
    return max(run.epochs_done() for run in runs)


def _prepare(runs: Sequence[ActiveRun], done: int) -> CohortTraining:
    """Choose device and backend, load the images and build the cohort for the stage after `done` epochs."""
    jobs, settings = [run.job for run in runs], runs[0].job.settings
    custom = isinstance(settings.model, CustomModel)
    execution, kernels = prepare_execution(settings.runtime, jobs[0].threads), KernelChoice()
    if not custom:
        execution, kernels = _choose(runs, execution)
    stacked = len(runs) > 1
    memory_format = layout(settings, execution, stacked=stacked)
    splits = load_training_data(settings, jobs[0].fingerprint, execution, memory_format)
    batches = CohortBatches(
        splits.training, settings.data, [job.seed for job in jobs], [job.settings.data.flip for job in jobs],
        [job.settings.data.batch_size for job in jobs],
    )  # fmt: skip
    cohort, unstacked_reason = build_cohort(
        [job.build_settings for job in jobs], batches.seeds, len(splits.identity.classes), batches.member_steps,
        execution, stacked=stacked, covariance=partial(patch_covariance, splits.training), epoch=done,
    )  # fmt: skip
    if custom:  # its network tells whether the kernels know it, and its images have one layout with either kernels
        execution, kernels = _choose(runs, execution, cohort.networks[0])
    teacher, notes = load_teacher(settings, jobs[0].results, splits.identity, splits.training.normalizer, execution)
    for run in runs:
        run.notes += [note for note in notes if note not in run.notes]
    own = own_functions(settings)
    batches.own_augment = own.augment
    before = [run.resume(cohort, number, done) for number, run in enumerate(runs)]
    trunk = with_cached_trunk(cohort, batches, splits.validation, settings, execution)
    cohort = trunk.cohort
    backend, info = make_backend(
        cohort, trunk.batches, settings, execution, unstacked_reason, kernels, own.loss,
        [job.settings for job in jobs], teacher,
    )  # fmt: skip
    return CohortTraining(
        execution, memory_format, splits, cohort, backend, environment(execution, info), own.metrics, trunk, before
    )


def _choose(
    runs: Sequence[ActiveRun], execution: Execution, network: nn.Module | None = None
) -> tuple[Execution, KernelChoice]:
    """Choose the kernels, and the threads of torch's operations. `network` as in `choose_kernels`."""
    settings = runs[0].job.settings
    execution, kernels = choose_kernels(
        settings, execution, len(runs), runs[0].saved_kernels(), network, [run.job.settings for run in runs]
    )
    parameters = None if network is None else count_parameters(network)
    return settle_threads(execution, settings, runs[0].saved_threads(), parameters), kernels


def _report(runs: Sequence[ActiveRun], training: CohortTraining, done: int, tell: Tell, *, first: bool) -> None:
    """Report device, resumed epoch and the use of frozen layers. `first`: whether no stage came before."""
    execution = training.execution
    for run, before in zip(runs, training.before, strict=True):
        if first:
            tell(run.job, DeviceChosen(execution.device.type, execution.threads))
        if before is not None:
            run.notes += changes(before, training.environment, done)
            tell(run.job, RunResumed(done))
        if training.trunk.note and training.trunk.note not in run.notes:
            run.notes.append(training.trunk.note)


def _callback(
    runs: Sequence[ActiveRun], training: CohortTraining, tell: Tell, should_stop: Callable[[], bool]
) -> CheckpointCallback:
    """Callback that saves the runs, reports them, and leaves cores to other programs that use them."""
    job, execution = runs[0].job, training.execution
    on_cpu = execution.own_kernels and execution.device.type == "cpu"
    asked = job.settings.runtime.threads != "auto" or not on_cpu
    guard = ThreadGuard(execution.threads, asked=asked)
    return CheckpointCallback(
        runs, training.cohort, training.environment, job.last_epoch, tell, should_stop, guard,
        training.backend.use_threads,
    )  # fmt: skip


def _finish(runs: Sequence[ActiveRun], training: CohortTraining, final_environment: Environment, ended: Ended) -> None:
    """Write each run's record or pause it, unlock its folder and report the outcome."""
    for number, (run, network) in enumerate(zip(runs, training.cohort.networks, strict=True)):
        outcome: Record | Exception
        try:
            outcome = run.pause() or finish(
                run, network, training.splits.identity, training.execution, final_environment, training.memory_format,
                partial(training.weights, [number]), training.splits.validation,
            )  # fmt: skip
        except Exception as error:
            outcome = error
        run.close()
        ended(run.job, outcome)
