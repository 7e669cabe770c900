"""Plan: the runs that settings ask for, with their state on disk. No torch, no training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.registry import MODEL_FACTS
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import DataError, EnvironmentFault, Problem, SettingsError
from cifar_lab.core.host import available_memory
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
        except SettingsError as error:
            problems += error.problems
            continue
        parts = shared.sections(recipe(settings))
        for seed in settings.seeds:
            name = run_id(parts, info.fingerprint, seed)
            if name not in planned:
                job = Job(
                    settings, seed, name, parts, info.fingerprint, results, read_test, until_epoch=until_epoch,
                    plan=plan,
                )  # fmt: skip
                planned[name] = PlannedRun(job, "missing", None) if force else run_on_disk(job, shared)
    if problems:
        raise SettingsError(problems)
    return list(planned.values())


def run_ids_of(settings: Settings, images: data.DatasetCatalog | None = None) -> list[str]:
    """Run ids of an arm in the order of its seeds. `images` as in `plan_runs`."""
    parts, fingerprint = recipe(settings), (images or data.DatasetCatalog()).prepare(settings.data).fingerprint
    return [run_id(parts, fingerprint, seed) for seed in settings.seeds]


def check_arm_fits_data(settings: Settings, info: data.DataInfo) -> None:
    """Validate settings against the data: the split and the batch must fit the training images.

    Raises:
        SettingsError: with the numbers.
    """
    size, left = settings.data.batch_size, info.train_size - settings.data.val_size
    fault = None
    check_validation(settings, info)
    _require_memory(settings, info)
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


def _require_memory(settings: Settings, info: data.DataInfo) -> None:
    """Check that the images of a run fit into memory: as they are read, and cut into their splits.

    Raises:
        EnvironmentFault: they do not.
    """
    needed = 2 * info.train_size * 3 * info.side**2
    if needed > LARGE_BYTES and (free := available_memory()) is not None and needed > free:
        raise EnvironmentFault(
            f"{settings.label}: {info.train_size:,} training images of {info.side} × {info.side} pixels take "
            f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free; choose a smaller data.image_size, or "
            "model.input_size, which enlarges batches on the device"
        )


LARGE_BYTES = 10**9
"""Size of images in bytes from which the free memory is looked at. CIFAR-10 takes 0.3 GB."""


def check_validation(settings: Settings, info: data.DataInfo) -> None:
    """Validate the size of the validation split against the images.

    Raises:
        SettingsError: with the class that is too small, and the largest size that works.
    """
    size = settings.data.val_size
    if info.own_val and size != info.own_val:
        message = f"{size} is not the number of images in val/; set data.val_size: {info.own_val}"
        raise SettingsError([Problem(settings.label, "data.val_size", message)])
    if size and info.class_sizes and not info.own_val:
        try:
            data.check_val_size(size, info.class_sizes, info.single_sizes, info.classes, key="data.val_size")
        except SettingsError as error:
            raise SettingsError([replace(problem, where=settings.label) for problem in error.problems]) from None


def _has_lone_image(settings: Settings, train_size: int) -> bool:
    """Whether the last batch is a single image, whose variance BatchNorm cannot compute."""
    size, facts = settings.data.batch_size, MODEL_FACTS.get(settings.model.name)
    return facts is not None and facts.batch_norm and (size == 1 or train_size % size == 1)


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
