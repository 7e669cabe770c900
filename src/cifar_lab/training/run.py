"""Runs from settings to records, one alone or a cohort together. The composition root; reads like the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby

from cifar_lab.config.io import dump_settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.atomic_io import make_folder, write_text
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.batches import CohortBatches
from cifar_lab.store.records import Record, SplitScore
from cifar_lab.store.results import DamagedFileError, RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.backends.kernels.choice import choose_kernels
from cifar_lab.training.build import build_cohort, make_steps
from cifar_lab.training.callbacks import ActiveRun, CheckpointCallback, Tell
from cifar_lab.training.device import is_out_of_memory, prepare_execution
from cifar_lab.training.environment import changes, environment
from cifar_lab.training.evaluate import predict, predict_together, score
from cifar_lab.training.events import DeviceChosen, Event, RunResumed
from cifar_lab.training.final_test import add_test
from cifar_lab.training.finish import finish
from cifar_lab.training.job import Job
from cifar_lab.training.loading import layout, load_training_data
from cifar_lab.training.loop import train
from cifar_lab.training.threads import ThreadGuard

Ended = Callable[[Job, Record | Exception], None]
"""Who hears how a run ended: with its record, or with what kept it from having one."""


def make_run(job: Job, tell: Callable[[Event], None], should_stop: Callable[[], bool]) -> Record:
    """Make one run exist: train what is not trained yet, from its last checkpoint on, and test it if the job says so.

    Raises:
        Interrupted: `should_stop()` held at the end of an epoch, which is kept.
        Paused: the job asks for no more epochs (`Job.until_epoch`).
        LabError: settings, data, weights or the machine do not allow it.
    """
    outcomes: list[Record | Exception] = []
    run_cohort([job], lambda _, event: tell(event), should_stop, lambda _, outcome: outcomes.append(outcome))
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_cohort(jobs: Sequence[Job], tell: Tell, should_stop: Callable[[], bool], ended: Ended) -> None:
    """Make runs exist that can train together (see `cohorts`); `ended` hears of each of them once.

    What keeps one of them from being made does not keep the others. Those that go on from different epochs train one
    group after the other.
    """
    runs: list[ActiveRun] = []
    try:
        for job in jobs:
            try:
                found = _open(job)
            except Exception as error:
                ended(job, error)
                continue
            if isinstance(found, Record):
                ended(job, found)
            else:
                runs.append(found)
        for _, same in groupby(sorted(runs, key=ActiveRun.epochs_done), key=ActiveRun.epochs_done):
            _train_or_split(list(same), tell, should_stop, ended)
    finally:
        for run in runs:
            run.lock.close()


def _open(job: Job) -> ActiveRun | Record:
    """The run's record where it is there, else its folder, locked, with what there is to go on from."""
    if recipe(job.settings) != job.recipe:
        raise SettingsError(
            f"model.name: the source or weights of {job.settings.model.name} changed since this command began; "
            "give it again to run what is there now"
        )
    folder = RunFolder(job.results, job.run_id)
    make_folder(folder.path, inside=job.results)
    with ExitStack() as lock:
        lock.enter_context(folder.lock())
        damage = folder.set_aside_damage()
        record = folder.read_record()
        if record is not None:
            try:
                return add_test(job, folder, record) if job.read_test and record.test_reason == "search" else record
            except DamagedFileError as error:
                aside = folder.set_aside(error.path)
                damage = f"{error.path.name} was damaged; set aside as {aside.name}, and the run made again"
        write_text(folder.settings, dump_settings(job.settings.model_copy(update={"seeds": (job.seed,)})))
        saved, notes = checkpoint.load_newest(folder.checkpoint)
        return ActiveRun(job, folder, [*([damage] if damage else []), *notes], saved, lock.pop_all())


def _train_or_split(runs: Sequence[ActiveRun], tell: Tell, should_stop: Callable[[], bool], ended: Ended) -> None:
    """Train runs together to their end, in halves where the device's memory does not hold all of them."""
    try:
        _train(runs, tell, should_stop, ended)
    except Exception as error:
        if not is_out_of_memory(error) or len(runs) == 1:
            for run in runs:
                if run.open:
                    run.close()
                    ended(run.job, error)
            return
    else:
        return
    for run in runs:
        run.start_over()
    middle = len(runs) // 2
    for half in (runs[:middle], runs[middle:]):
        _train_or_split(half, tell, should_stop, ended)


def _train(runs: Sequence[ActiveRun], tell: Tell, should_stop: Callable[[], bool], ended: Ended) -> None:
    """Train runs that stand at one epoch, and write their records."""
    jobs = [run.job for run in runs]
    settings, fingerprint, done = jobs[0].settings, jobs[0].fingerprint, runs[0].epochs_done()
    execution = prepare_execution(settings.runtime, runs[0].saved_threads() or jobs[0].threads)
    execution, why_torch = choose_kernels(settings, execution, len(runs), runs[0].saved_kernels())
    stacked = len(runs) > 1
    memory_format = layout(settings.model, execution, stacked=stacked)
    training, validation, identity = load_training_data(settings, fingerprint, execution, memory_format)
    batches = CohortBatches(
        training, settings.data, [job.seed for job in jobs], [job.settings.data.flip for job in jobs]
    )
    classes = len(identity.classes)
    cohort, reason = build_cohort(
        [job.settings for job in jobs], batches.seeds, classes, batches.steps_per_epoch, execution, stacked=stacked
    )
    steps, how = make_steps(cohort, batches, settings, execution, reason)
    here = environment(execution, replace(how, kernels_reason=why_torch))
    for number, run in enumerate(runs):
        tell(run.job, DeviceChosen(execution.device.type, execution.threads))
        if (before := run.resume(cohort, number)) is not None:
            run.notes += changes(before, here, done)
            tell(run.job, RunResumed(done))

    def validate() -> list[SplitScore | None]:
        assert validation is not None
        labels = validation.labels.cpu()
        if cohort.stacked is not None:
            together = predict_together(cohort.stacked, len(runs), validation, execution)  # (K, N, classes)
            return [score(logits, labels, classes) for logits in together]
        separate = (predict(network, validation, execution) for network in cohort.networks)
        return [score(logits, labels, classes) for logits in separate]

    guard = ThreadGuard(execution.threads, asked=settings.runtime.threads != "auto" or execution.device.type != "cpu")
    with CheckpointCallback(runs, cohort, here, jobs[0].last_epoch, tell, should_stop, guard) as watcher:
        train(
            steps,
            [run.member for run in runs],
            start_epoch=done,
            epochs=jobs[0].last_epoch,
            validate=None if validation is None else validate,
            watcher=watcher,
        )
        watcher.written()
    if validation is not None and done == settings.epochs:  # all that was left was to write the record
        for run, val in zip(runs, validate(), strict=True):
            run.member.val = val
    for run, network in zip(runs, cohort.networks, strict=True):
        outcome: Record | Exception
        try:
            outcome = run.pause() or finish(run, network, identity, execution, watcher.environment, memory_format)
        except Exception as error:
            outcome = error
        run.close()
        ended(run.job, outcome)
