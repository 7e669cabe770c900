"""From settings to the runs that should exist, and which of them are there already. No torch, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.model_catalog import MODEL_FACTS
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import DataError, Problem, SettingsError
from cifar_lab.core.host import available_cores
from cifar_lab.store.failures import Failure, read_failure
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedRecordError, RunFolder, SharedParts
from cifar_lab.training.job import Job
from cifar_lab.training.threads import choose_threads, thread_limit


@dataclass(frozen=True)
class PlannedRun:
    """A job and what of it is there already."""

    job: Job
    state: Literal["done", "untested", "interrupted", "missing"]
    """`done`: all that the job asks for is there."""
    record: Record | None
    """None also where a job that asks for some epochs has them."""
    failure: Failure | None = None
    """Why an earlier command gave the run up; None where none did."""
    epochs: int = 0
    """Epochs of a run that is not `done` that need not be trained again."""


def plan_runs(
    arms: Iterable[Settings],
    results: Path,
    images: data.DatasetCatalog | None = None,
    *,
    read_test: bool = True,
    force: bool = False,
    until_epoch: int | None = None,
) -> list[PlannedRun]:
    """One planned run for each arm and seed, in order; a run that two arms share stands once.

    Args:
        images: what the command has found of its images; None looks at each source anew.
        until_epoch: see `Job`.

    Raises:
        SettingsError: an arm does not fit its data; all of them in one message.
        DataError: a record is of a newer version of cifar-lab.
    """
    images, shared = images or data.DatasetCatalog(), SharedParts()
    planned: dict[str, PlannedRun] = {}
    problems: list[Problem] = []
    for settings in arms:
        info = images.prepare(settings.data)
        try:
            check_fits(settings, info)
        except SettingsError as error:
            problems += error.problems
            continue
        parts = shared.sections(recipe(settings))
        for seed in settings.seeds:
            name = run_id(parts, info.fingerprint, seed)
            if name not in planned:
                job = Job(settings, seed, name, parts, info.fingerprint, results, read_test, until_epoch=until_epoch)
                planned[name] = PlannedRun(job, "missing", None) if force else _look(job, shared)
    if problems:
        raise SettingsError(problems)
    return share_threads(list(planned.values()))


def run_ids_of(settings: Settings, images: data.DatasetCatalog | None = None) -> list[str]:
    """The id of each seed's run of an arm, in the order of its seeds; `images` as in `plan_runs`."""
    parts, fingerprint = recipe(settings), (images or data.DatasetCatalog()).prepare(settings.data).fingerprint
    return [run_id(parts, fingerprint, seed) for seed in settings.seeds]


def share_threads(runs: Sequence[PlannedRun], free_cores: float | None = None) -> list[PlannedRun]:
    """Give each run its CPU threads: what its settings say, or what `choose_threads` says.

    Threads change how sums are rounded, so they hang on the whole plan and not on what is left of it: a command that
    is given again rounds as the first did.

    Args:
        runs: the whole plan.
        free_cores: cores' worth of time that other programs leave; None is not known.
    """
    cores, limit = available_cores(), thread_limit()
    side_by_side = min(cores, max(1, len(runs)))
    shared = []
    for run in runs:
        settings = run.job.settings
        threads = settings.runtime.threads
        if threads == "auto":
            size = settings.data.batch_size
            threads = choose_threads(settings.model.name, size, cores, side_by_side, free_cores, limit=limit)
        shared.append(replace(run, job=replace(run.job, threads=threads)))
    return shared


def check_fits(settings: Settings, info: data.DataInfo) -> None:
    """Refuse what only the data can tell: a split or a batch larger than the training images.

    Raises:
        SettingsError: with the numbers.
    """
    size, left = settings.data.batch_size, info.train_size - settings.data.val_size
    fault = None
    if left < len(info.classes):
        fault = (
            "data.val_size",
            f"{settings.data.val_size} of {info.train_size} training images leaves {max(left, 0)} to train on; "
            "choose a smaller one",
        )
    elif size > left:
        fault = ("data.batch_size", f"{size} is more than the {left} images to train on")
    elif _has_lone_image(settings, left):
        fault = (
            "data.batch_size",
            f"{size} leaves one of {left} images for the last batch, which BatchNorm in {settings.model.name} cannot "
            "train on; choose another size",
        )
    if fault is not None:
        raise SettingsError([Problem(settings.label, *fault)])


def _has_lone_image(settings: Settings, train_size: int) -> bool:
    """Whether the last batch of an epoch is one image, of which BatchNorm cannot take a variance."""
    size, facts = settings.data.batch_size, MODEL_FACTS.get(settings.model.name)
    return facts is not None and facts.batch_norm and (size == 1 or train_size % size == 1)


def _look(job: Job, shared: SharedParts) -> PlannedRun:
    """What of the run is on disk."""
    folder = RunFolder(job.results, job.run_id)
    try:
        record = folder.read_record()
    except DamagedRecordError:
        return PlannedRun(job, "missing", None, read_failure(folder))
    if record is None or folder.incomplete_file(record) is not None:
        goes_on = folder.has_checkpoint()
        epochs = _epochs_there(folder) if goes_on else 0
        if record is None and job.last_epoch < job.settings.epochs and epochs >= job.last_epoch:
            return PlannedRun(job, "done", None)
        return PlannedRun(job, "interrupted" if goes_on else "missing", None, read_failure(folder), epochs)
    record = shared.of(record)
    if job.read_test and record.test_reason == "search":
        return PlannedRun(job, "untested", record, read_failure(folder), job.last_epoch)
    return PlannedRun(job, "done", record)


def _epochs_there(folder: RunFolder) -> int:
    """Epochs after which a run that has a checkpoint goes on, as far as its metrics tell."""
    try:
        return len(folder.read_metrics())
    except DataError:  # the worker writes it anew, from the checkpoint
        return 0
