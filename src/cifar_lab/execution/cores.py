"""Division of the cores among the runs of a command: threads of each run, and runs side by side. No torch.

Nothing here depends on the load of the machine or on the other runs, except threads that leave the bits of a run alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cifar_lab.config import Settings
from cifar_lab.core.openmp import usable_cores
from cifar_lab.core.text import count
from cifar_lab.training.job import Job
from cifar_lab.training.threads import choose_threads, least_threads

if TYPE_CHECKING:
    from cifar_lab.training.events import ModelBuilt


@dataclass(frozen=True)
class CoreShares:
    """Jobs with their threads, and the number of them that train at a time."""

    jobs: Sequence[Job]
    side_by_side: int
    cut: str | None = None
    """Line about a requested number of workers that was reduced."""


def share_cores(
    jobs: Sequence[Job], cores: int, workers: int | None, models: Mapping[str, ModelBuilt] | None = None
) -> CoreShares:
    """Assign CPU threads to runs on the CPU of one machine.

    Args:
        jobs: runs to make, at least one.
        cores: cores that the process may use.
        workers: requested number of concurrent runs. None takes as many as the cores hold.
        models: custom models that were built, by `model_key`.
    """
    usable, built = usable_cores(cores), [(models or {}).get(model_key(job.settings)) for job in jobs]
    parameters = [None if each is None else each.parameters for each in built]
    least = [least_threads(job.settings, usable, parameters=each) for job, each in zip(jobs, parameters, strict=True)]
    room = max(1, cores // min(least))
    side_by_side = min(workers or room, room, len(jobs))
    given = [
        replace(
            job,
            threads=choose_threads(
                job.settings, usable, side_by_side, parameters=size, own_kernels=model is not None and model.own_kernels
            ),
        )
        for job, model, size in zip(jobs, built, parameters, strict=True)
    ]
    is_cut = workers is not None and workers > room
    return CoreShares(given, min(workers or room, room), _cut(workers, room, min(least), cores) if is_cut else None)


def share_gpu_host(jobs: Sequence[Job], cores: int) -> list[Job]:
    """Assign equal shares of the cores to runs on a GPU, whose bits do not depend on CPU threads."""
    usable = usable_cores(cores)
    return [replace(job, threads=max(1, usable // min(usable, len(jobs)))) for job in jobs]


def concurrent_on_cpu(settings: Settings, cores: int, workers: int | None) -> int:
    """Number of runs of these settings that the cores hold, at most `workers`."""
    room = max(1, cores // least_threads(settings, usable_cores(cores)))
    return min(workers or room, room)


def model_key(settings: Settings) -> str:
    """Key of a model whose parameters were counted."""
    return settings.model.model_dump_json()


def _cut(workers: int | None, room: int, threads: int, cores: int) -> str:
    """Line about the reduction of `--workers`."""
    return (
        f"--workers {workers} is reduced to {room}: a run has {count(threads, 'thread')}, "
        f"and this process may use {count(cores, 'core')}"
    )
