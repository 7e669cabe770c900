"""Forecast of a search before its start: remaining runs, time, memory and disk, to the end of its confirming runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.config import Settings
from cifar_lab.config.registry import MODEL_FACTS
from cifar_lab.config.sheets import Search
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import available_memory
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.cost import MachineSpeeds, measured_records, takes_gpu
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.wall_time import ImageCounts, RunGroup, concurrent_runs, image_counts, wall_time
from cifar_lab.store.records import Record
from cifar_lab.studies.space.groups import group_sizes
from cifar_lab.studies.space.methods import rung_sizes
from cifar_lab.studies.space.winners import confirm_settings

if TYPE_CHECKING:
    from cifar_lab.studies.search import SearchStep

PROCESS_BYTES, BYTES_PER_IMAGE = 320e6, 7_000
"""Unshared memory of a CPU worker. Fitted to 323 MB with 1,500 images and a peak of 731 MB with 60,000 (Net, torch
2.15). A large model or batch takes more."""

PARAMETERS = {name: facts.parameters for name, facts in MODEL_FACTS.items()}
"""Of the built-in models with ten classes. For a custom model a record has the number."""

RECORD_BYTES = 12_000
"""Settings, record and metrics in a run's folder, each a few kB, rounded up as a file system does."""

PREDICTION_BYTES, LABEL_BYTES = 4, 8
"""In predictions.npz: per logit, and per image for its label."""

CHECKPOINT_WEIGHTS = 6
"""Disk space of an unfinished run, as a multiple of its weights: weights and Adam's two moments, for two epochs."""


@dataclass(frozen=True)
class Estimate:
    """Remaining runs of a search and their cost."""

    runs: float
    """Of the search, without the confirming runs."""
    search_seconds: float | None
    """Wall time with all workers. None where a model's time is unknown."""
    confirm_seconds: float | None
    """The same for the confirming runs."""
    source: str
    """Source of the times, in words."""
    workers: int
    worker_bytes: float | None
    """Memory per worker. None on a GPU, whose free memory is measured before cohorts start."""
    free_memory: int | None
    run_bytes: float
    """Mean size of a finished run's folder."""
    disk_bytes: float
    """Of all remaining runs."""
    free_disk: int
    least_runs: float | None = None
    """Of a race that drops points as early as possible. None without a race, whose number of runs is known."""
    least_seconds: float | None = None
    """Wall time of these runs."""

    def lines(self) -> Iterator[str]:
        """One printed line each on time, memory and disk."""
        if self.search_seconds is None or self.confirm_seconds is None:
            yield f"time: not known ({self.source})"
        else:
            each = duration(self.search_seconds * self.workers / (self.runs or 1))
            yield (
                f"time: about {self._search_words()} for the search with {count(self.workers, 'worker')}, "
                f"then at most {duration(self.confirm_seconds)} for the winners; {each} per run, {self.source}"
            )
        if self.worker_bytes is not None:
            total = self.workers * self.worker_bytes
            free = "" if self.free_memory is None else f"; {amount(self.free_memory)} are free"
            if self.free_memory is not None and total > self.free_memory:
                free += " — too little: use fewer --workers"
            yield f"memory: about {amount(self.worker_bytes)} per worker, {amount(total)} in all{free}"
        yield (
            f"disk: about {amount(self.run_bytes)} per run, {amount(self.disk_bytes)} in all; "
            f"{amount(self.free_disk)} are free"
        )

    def _search_words(self) -> str:
        """Duration of the search, or of the shortest and the longest race."""
        longest = duration(self.search_seconds or 0.0)
        shortest = longest if self.least_seconds is None else duration(self.least_seconds)
        return longest if shortest == longest else f"{shortest} to {longest}"

    def check_disk(self, results: Path) -> None:
        """Refuse a search that the disk cannot hold.

        Raises:
            EnvironmentFault: the disk is too small.
        """
        if self.disk_bytes > self.free_disk:
            raise EnvironmentFault(
                f"{results}: the missing runs need about {amount(self.disk_bytes)}, {amount(self.free_disk)} are free; "
                "free space or choose another folder with --results, then run the same command again"
            )


def forecast(
    base: Settings, search: Search, step: SearchStep, planned: Sequence[PlannedRun] | None, context: RunContext
) -> Estimate:
    """Estimate a search from a step on, to the end of its confirming runs.

    Args:
        planned: runs of the step. None before its images are prepared, when run ids are unknown.
    """
    searching = [*_current_step(step, planned, search), *_later_steps(step, search)]
    to_make = sum(group.runs for group in searching if group.is_new)
    arms, (least, _) = len(step.arms), step.runs_after
    halved = _rung_sizes(step, search)[-1] if search.halving else arms
    return estimate(
        searching,
        list(_confirming(base, step, search)),
        context.results,
        concurrent_runs(base, context.workers, to_make),
        context.images,
        [run.record for run in planned or () if run.record is not None],
        pruned=(arms - halved) * len(search.seeds) if step.rung == 0 else 0,
        least=[*_current_step(step, planned, search), *_race_groups(step, least)] if search.racing else (),
    )


def estimate(
    search: Sequence[RunGroup], confirm: Sequence[RunGroup], results: Path, workers: int, images: DatasetCatalog,
    records: Sequence[Record] = (), pruned: float = 0, least: Sequence[RunGroup] = (),
) -> Estimate:  # fmt: skip
    """Estimate the remaining runs of a search and of its confirmation.

    Args:
        workers: runs that train at a time.
        records: runs that have been read already. The results folder is sampled for more.
        pruned: runs that will be pruned, which keep their checkpoints.
        least: runs of the search if a race drops points as early as possible.
    """
    known = measured_records(records, results)
    speeds = MachineSpeeds(known)
    timings = [wall_time(groups, speeds, workers, images) for groups in (search, confirm)]
    parameters = PARAMETERS | {
        str(record.settings["model"]["name"]): record.parameters for record in known if record.settings
    }
    counted = [(group, image_counts(group.settings, images)) for group in (*search, *confirm)]
    weights = {group.settings.model.name: 4 * parameters.get(group.settings.model.name, 0) for group, _ in counted}
    new = [(group, counts) for group, counts in counted if group.is_new]
    folders = sum(
        group.runs * _folder_bytes(group, counts, weights[group.settings.model.name]) for group, counts in new
    )
    unfinished = (workers + pruned) * CHECKPOINT_WEIGHTS * max(weights.values(), default=0) if new else 0
    earliest = wall_time(least, speeds, workers, images).seconds if least else None
    in_memory = max((counts.in_memory for _, counts in counted if counts is not None), default=0)
    on_gpu = any(takes_gpu(group.settings) for group, _ in counted)
    return Estimate(
        runs=_new_runs(search),
        search_seconds=timings[0].seconds,
        confirm_seconds=timings[1].seconds,
        source=max(timings, key=lambda timing: timing.doubt).source,
        workers=workers,
        worker_bytes=None if on_gpu else PROCESS_BYTES + BYTES_PER_IMAGE * in_memory,
        free_memory=available_memory(),
        run_bytes=folders / (_new_runs([*search, *confirm]) or 1),
        disk_bytes=folders + unfinished,
        free_disk=shutil.disk_usage(_nearest_existing(results)).free,
        least_runs=_new_runs(least) if least else None,
        least_seconds=earliest,
    )


def _new_runs(groups: Sequence[RunGroup]) -> float:
    return sum(group.runs for group in groups if group.is_new)


def _current_step(step: SearchStep, planned: Sequence[PlannedRun] | None, search: Search) -> Iterator[RunGroup]:
    if planned is None:
        for arm in step.arms:
            yield RunGroup(arm, step.until_epoch or arm.epochs, len(arm.seeds))
        return
    for run in planned:
        if run.state != "done":
            resumes = step.rung > 0 and run.state == "interrupted"
            epochs = run.job.last_epoch - (step.epochs_before if resumes else 0)
            yield RunGroup(run.job.settings, epochs, is_new=not resumes)


def _later_steps(step: SearchStep, search: Search) -> Iterator[RunGroup]:
    """Later rungs and batches. Their points are unknown, so each present point stands for an equal share."""
    arms, seeds = len(step.arms), len(search.seeds)
    if search.halving is not None:
        left = _rung_sizes(step, search)
        for rung in range(step.rung + 1, len(step.rungs)):
            share = left[rung - step.rung] / arms
            epochs = step.rungs[rung] - step.rungs[rung - 1]
            yield from (RunGroup(arm, epochs, share * seeds, is_new=False) for arm in step.arms)
    yield from _race_groups(step, step.runs_after[1])
    if step.trials_left:
        yield from (RunGroup(arm, arm.epochs, step.trials_left / arms * seeds) for arm in step.arms)


def _race_groups(step: SearchStep, runs: int) -> Iterator[RunGroup]:
    """Runs of the later steps of a race."""
    if runs:
        yield from (RunGroup(arm, arm.epochs, runs / len(step.arms)) for arm in step.arms)


def _rung_sizes(step: SearchStep, search: Search) -> list[int]:
    """Number of points on this rung and each later one, over all groups."""
    assert search.halving is not None
    groups = [rung_sizes(size, search.halving, search.kept) for size in group_sizes(step.arms, search).values()]
    return [sum(sizes) for sizes in zip(*groups, strict=True)]


def _confirming(base: Settings, step: SearchStep, search: Search) -> Iterator[RunGroup]:
    """Upper bound: confirming runs that exist already are not subtracted."""
    seeds, arms = len(search.confirm_seeds), len(step.arms)
    winners = min(search.top, arms + step.trials_left)
    if search.group_keys:
        winners = len(group_sizes(step.arms, search))
    else:
        yield RunGroup(confirm_settings(base, search), base.epochs, seeds, is_tested=True)
    share = winners / arms
    yield from (RunGroup(arm, arm.epochs, share * seeds, is_tested=True) for arm in step.arms)


def _folder_bytes(group: RunGroup, counts: ImageCounts | None, weights: float) -> float:
    """Size of a finished run's folder."""
    tested = counts if group.is_tested else None
    return RECORD_BYTES + weights + (tested.test * (PREDICTION_BYTES * tested.classes + LABEL_BYTES) if tested else 0)


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def duration(seconds: float) -> str:
    """`12 s`, `5 min`, `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def amount(size: float) -> str:
    """Bytes in words: `320 MB`, `1.2 GB`."""
    power = min(4, max(0, int(math.log10(max(size, 1)) // 3)))
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    number = size / 1000**power
    return f"{number:.1f} {unit}" if power and number < 10 else f"{number:.0f} {unit}"
