"""Plan: the runs that settings ask for, with their state on disk. No torch, no training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cifar_lab import data
from cifar_lab.config import Data, ImageFolder, Settings
from cifar_lab.config.registry import facts_of
from cifar_lab.config.roles import source_key
from cifar_lab.config.rules import batch_too_large, too_many
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import DataError, EnvironmentFault, Problem, SettingsError
from cifar_lab.core.host import available_memory, has_gpu
from cifar_lab.execution.source_runs import source_weights
from cifar_lab.store.failures import Failure, read_failure
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedRecordError, RunFolder, SharedParts
from cifar_lab.training.job import Job


@dataclass(frozen=True)
class PlannedRun:
    """A run to make, with its state on disk."""

    job: Job
    state: Literal["done", "untested", "interrupted", "missing"]
    """`done`: everything that the job asks for exists."""
    record: Record | None
    """Also None if the job asks only for some epochs and they exist."""
    failure: Failure | None = None
    """Failure in an earlier command, if any."""
    epochs: int = 0
    """Completed epochs of a run that is not `done`."""
    damage: tuple[Path, str] | None = None
    """File and kind of the damage because of which a run counts as missing. None without any."""


def plan_runs(
    arms: Iterable[Settings],
    results: Path,
    images: data.DatasetCatalog | None = None,
    *,
    read_test: bool = True,
    force: bool = False,
    until_epoch: int | None = None,
    plan: str | None = None,
) -> list[PlannedRun]:
    """Planned runs of all arms and seeds, in order. A run that several arms share appears once.

    Args:
        images: data sets that the command has found. None reads each source again.
        until_epoch, plan: see `Job`.

    Raises:
        SettingsError: arms do not fit their data. One message names all of them.
        DataError: a record is from a newer version of cifar-lab.
    """
    images, shared = images or data.DatasetCatalog(), SharedParts()
    planned: dict[str, PlannedRun] = {}
    problems: list[Problem] = []
    for settings in arms:
        info = images.prepare(settings.data)
        try:
            check_arm_fits_data(settings, info)
            weights = source_weights(settings, results)
        except SettingsError as error:
            problems += error.problems
            continue
        parts = shared.sections(recipe(settings))
        for seed in settings.seeds:
            name = run_id(parts, info.fingerprint, seed)
            if name not in planned:
                job = Job(
                    settings, seed, name, parts, info.fingerprint, results, read_test, until_epoch=until_epoch,
                    plan=plan, weights=None if weights is None else str(weights),
                )  # fmt: skip
                planned[name] = PlannedRun(job, "missing", None) if force else run_on_disk(job, shared)
    if problems:
        raise SettingsError(_each_once(problems))
    return list(planned.values())


def run_ids_of(settings: Settings, images: data.DatasetCatalog | None = None) -> list[str]:
    """Run ids of an arm in the order of its seeds. `images` as in `plan_runs`."""
    parts, fingerprint = recipe(settings), (images or data.DatasetCatalog()).prepare(settings.data).fingerprint
    return [run_id(parts, fingerprint, seed) for seed in settings.seeds]


def check_arm_fits_data(settings: Settings, info: data.DataInfo | data.ListedCounts) -> None:
    """Validate settings against the data: the split and the batch must fit the training images.

    Raises:
        SettingsError: with the numbers.
        EnvironmentFault: the images do not fit into memory.
    """
    check_validation(settings, info)
    _require_memory(settings, info.train_size)
    left = info.train_size - data.validation_count(settings.data, info)
    faults = [*batch_too_large(settings, left), *_lone_image(settings, left)]
    if faults:
        raise SettingsError([Problem(settings.label, "data.batch_size", faults[0])])


def check_listed(arms: Iterable[Settings], images: data.DatasetCatalog) -> None:
    """Validate arms whose images are not prepared yet, as far as a list of their files tells.

    Raises:
        SettingsError: as `plan_runs`.
    """
    counts = {source_key(arm.data): images.counted(arm.data) for arm in arms if images.known(arm.data) is None}
    problems: list[Problem] = []
    for settings in arms:
        if (listed := counts.get(source_key(settings.data))) is None:
            continue
        try:
            check_arm_fits_data(settings, listed)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(_each_once(problems))


def _each_once(problems: Sequence[Problem]) -> list[Problem]:
    """Problems that many arms share, said once."""
    arms: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        arms.setdefault((problem.key, problem.message), []).append(problem.where)
    return [
        Problem(names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more", *problem)
        for problem, names in arms.items()
    ]


def _require_memory(settings: Settings, images: int) -> None:
    """Check that the images of a run fit into memory: as they are read and cut into splits, and a batch on the CPU.

    Raises:
        EnvironmentFault: they do not.
    """
    side, batch = settings.data.side(), min(settings.data.batch_size, images)
    advice = "choose a smaller data.image_size, or model.input_size, which enlarges batches on the device"
    _require_free(settings.label, 2 * images * 3 * side**2, f"{images:,} training images of {side} × {side}", advice)
    if (side := settings.model.input_size or side) and (settings.runtime.device == "cpu" or not has_gpu()):
        advice = "choose a smaller data.batch_size or model.input_size"
        _require_free(
            settings.label, batch * 3 * side**2 * FLOAT_BYTES, f"a batch of {batch:,} of {side} × {side}", advice
        )


def _require_free(label: str, needed: int, what: str, advice: str) -> None:
    if needed > LARGE_BYTES and (free := available_memory()) is not None and needed > free:
        raise EnvironmentFault(
            f"{label}: {what} pixels take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free; {advice}"
        )


FLOAT_BYTES = 4

LARGE_BYTES = 10**9
"""Size of images in bytes from which the free memory is looked at. CIFAR-10 takes 0.3 GB."""


def check_validation(settings: Settings, info: data.DataInfo | data.ListedCounts) -> None:
    """Validate the validation split against the images.

    Raises:
        SettingsError: with the class that is too small, and the largest size that works.
    """
    options = settings.data
    try:
        if isinstance(options, ImageFolder) and options.val_folder == "validation":
            _check_val_folder(options, info)
        elif options.val_indices is not None:
            _check_named(options, info)
        elif (size := data.validation_count(options, info)) and info.class_sizes:
            data.check_val_size(size, info.class_sizes, info.single_sizes, info.classes, key="data.val_size")
        elif size >= info.train_size:
            message = too_many(size, info.train_size, info.train_size - len(info.classes))
            raise SettingsError([Problem("", "data.val_size", message)])
    except SettingsError as error:
        raise SettingsError([_of_arm(problem, settings.label) for problem in error.problems]) from None


def _of_arm(problem: Problem, label: str) -> Problem:
    """A problem with its location: the arm's label, where it has none."""
    return problem if problem.where else replace(problem, where=label)


def _check_val_folder(options: ImageFolder, info: data.DataInfo | data.ListedCounts) -> None:
    if not info.own_val:
        message = "validation, but the images have no folder val/; add it, or set data.val_size (0.1, say)"
        raise SettingsError([Problem("", "data.val_folder", message)])
    if options.val_size not in (0, info.own_val):
        message = f"{options.val_size} is not the number of images in val/, which is {info.own_val}; remove val_size"
        raise SettingsError([Problem("", "data.val_size", message)])


def _check_named(options: Data, info: data.DataInfo | data.ListedCounts) -> None:
    """Check the file of indices. The classes of its images are known once they are prepared."""
    assert options.val_indices is not None
    held_out = data.named_indices(options.val_indices, info.train_size)
    if isinstance(info, data.ListedCounts):
        return
    labels = data.train_labels(options, info.fingerprint)
    left = np.bincount(np.delete(labels, held_out), minlength=len(info.classes))
    if gone := [info.classes[label] for label in np.unique(labels).tolist() if not left[label]]:
        message = f"the file names all training images of class {gone[0]!r}; leave some to train on"
        raise SettingsError([Problem(options.val_indices, "data.val_indices", message)])


def _lone_image(settings: Settings, train_size: int) -> Iterator[str]:
    """Contradiction of a last batch of one image, whose variance BatchNorm cannot compute."""
    size, facts = settings.data.batch_size, facts_of(settings.model)
    if facts is not None and facts.batch_norm and (size == 1 or train_size % size == 1):
        yield (
            f"{size} leaves one of {train_size} images for the last batch, which BatchNorm in {settings.model.name} "
            "cannot train on; choose another size"
        )


def run_on_disk(job: Job, shared: SharedParts | None = None) -> PlannedRun:
    """Plan a run from its state on disk.

    Raises:
        DataError: its record is from a newer version of cifar-lab.
    """
    shared = shared or SharedParts()
    folder = RunFolder(job.results, job.run_id)
    try:
        record = folder.read_record()
    except DamagedRecordError as fault:
        return PlannedRun(job, "missing", None, read_failure(folder), damage=(fault.path, fault.what))
    missing = folder.incomplete_file(record) if record is not None else None
    if record is None or missing is not None:
        resumable = folder.has_checkpoint()
        epochs = _completed_epochs(folder) if resumable else 0
        if record is None and job.last_epoch < job.settings.epochs and epochs >= job.last_epoch:
            return PlannedRun(job, "done", None)
        state: Literal["interrupted", "missing"] = "interrupted" if resumable else "missing"
        damage = (folder.path / missing, "is missing or cut short") if missing is not None else None
        return PlannedRun(job, state, None, read_failure(folder), epochs, damage)
    record = shared.of(record)
    if job.read_test and record.test_reason == "search":
        return PlannedRun(job, "untested", record, read_failure(folder), job.last_epoch)
    return PlannedRun(job, "done", record)


def _completed_epochs(folder: RunFolder) -> int:
    """Completed epochs of a run with a checkpoint, from its metrics."""
    try:
        return len(folder.read_metrics())
    except DataError:  # the worker rewrites it from the checkpoint
        return 0
