"""Wall time of the runs that are still to make, as `plan` and `sweep` print it before a start. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cifar_lab.config import Settings
from cifar_lab.config.rules import CIFAR_TEST_SIZE, train_size
from cifar_lab.core.host import available_cores, gpu_names
from cifar_lab.data import DatasetCatalog, set_aside, validation_count
from cifar_lab.execution.cores import concurrent_on_cpu
from cifar_lab.execution.cost import MachineSpeeds, Timing, takes_gpu
from cifar_lab.execution.tasks import GPU_STREAMS, kernel_cohorts, trains_mixed

NOT_PREPARED = "the images have not been prepared yet"
"""Reason for an unknown time."""


@dataclass(frozen=True)
class RunGroup:
    """Remaining runs of equal settings."""

    settings: Settings
    epochs: int
    """Remaining epochs per run."""
    runs: float = 1.0
    """Number of runs. A fraction stands for a point that may be pruned."""
    is_new: bool = True
    """Whether the runs add to the number of runs. False for those that continue an earlier run."""
    is_tested: bool = False
    """Whether the runs are evaluated on the test split."""


@dataclass(frozen=True)
class ImageCounts:
    """Number of images of a run."""

    trained_on: int
    """Per epoch."""
    test: int
    classes: int
    in_memory: int
    """Both splits, at the end of the run."""


def image_counts(settings: Settings, images: DatasetCatalog) -> ImageCounts | None:
    """Number of images of a run, or None if it depends on files that were not read yet."""
    found, whole = images.known(settings.data), train_size(settings)
    if found is not None:
        train, test, classes = found.train_size, found.test_size, len(found.classes)
    elif whole is not None:
        train, test = whole, getattr(settings.data, "test_size", CIFAR_TEST_SIZE)
        classes = 100 if settings.data.dataset == "cifar100" else 10
    else:
        return None
    held_out = set_aside(settings.data, train) if found is None else validation_count(settings.data, found)
    return ImageCounts(train - held_out, test, classes, train + test)


def wall_time(groups: Sequence[RunGroup], speeds: MachineSpeeds, workers: int, images: DatasetCatalog) -> Timing:
    """Wall time of all runs with `workers` of them at a time, with the source of the least certain group."""
    timings = [_group_timing(group, speeds, images) for group in groups]
    if not timings:
        return Timing(0.0, -1, "")
    worst = max(timings, key=lambda timing: timing.doubt)
    known = [timing.seconds for timing in timings if timing.seconds is not None]
    total = sum(known) / workers if len(known) == len(timings) else None
    return Timing(total, worst.doubt, worst.source, frozenset().union(*(timing.run_ids for timing in timings)))


def _group_timing(group: RunGroup, speeds: MachineSpeeds, images: DatasetCatalog) -> Timing:
    counts = image_counts(group.settings, images)
    if counts is None:
        return Timing(None, 3, NOT_PREPARED)
    timing = speeds.training(group.settings, group.epochs * counts.trained_on)
    return timing if timing.seconds is None else replace(timing, seconds=timing.seconds * group.runs)


@dataclass(frozen=True)
class Cost:
    """Time of the runs that are still to make."""

    hours: float | None
    """Wall time with `workers` runs at a time. None where an arm's time is unknown."""
    workers: int
    measured: int
    """Runs that the time was measured on."""
    guess: str = ""
    """Source in words. Empty where runs of each model and batch size were measured on this machine."""
    unknown: tuple[str, ...] = ()
    """Labels of arms without a known time."""


def cost_of(
    to_make: Sequence[tuple[Settings, int]], speeds: MachineSpeeds, images: DatasetCatalog, workers: int | None
) -> Cost:
    """Cost of the missing runs of a comparison.

    Args:
        to_make: settings of each arm and its number of missing runs.
        workers: as in `RunContext`.
    """
    groups = [RunGroup(settings, settings.epochs, runs) for settings, runs in to_make if runs]
    slots = concurrent_runs(groups[0].settings, workers, sum(group.runs for group in groups)) if groups else 1
    timing = wall_time(groups, speeds, slots, images)
    unknown = [group.settings.label for group in groups if _group_timing(group, speeds, images).seconds is None]
    return Cost(
        hours=None if timing.seconds is None else timing.seconds / 3600,
        workers=slots,
        measured=len(timing.run_ids),
        guess=timing.source if timing.doubt > 0 else "",
        unknown=tuple(dict.fromkeys(unknown)),
    )


def concurrent_runs(settings: Settings, workers: int | None, runs: float) -> int:
    """Number of runs that train at a time, of `runs` of these settings. `workers` as in `RunContext`.

    On a GPU that of cohorts, whose runs share the time of their cohort.
    """
    if takes_gpu(settings):
        gpus = max(1, len(gpu_names()))
        cohorts = kernel_cohorts([settings] * round(runs), gpus) if trains_mixed(settings) else 0
        most = gpus * (workers or GPU_STREAMS)
        return min(most, cohorts) if cohorts else most
    return max(1, min(concurrent_on_cpu(settings, available_cores(), workers), round(runs)))
