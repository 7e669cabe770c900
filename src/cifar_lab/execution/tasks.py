"""Division of jobs into cohorts and tasks, the units of work of a worker. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.config import Section, Settings
from cifar_lab.config.own_code import own_code, own_components, plain_reason
from cifar_lab.config.registry import facts_of
from cifar_lab.config.roles import role_of, shared_fields
from cifar_lab.execution.cost import guess_seconds
from cifar_lab.training.job import Job

GPU_STREAMS = 4
"""Default number of concurrent cohorts per GPU (`--workers`)."""


def cohort_key(job: Job, own: Collection[str] = ()) -> str:
    """Equal for runs that can be members of one cohort.

    The key holds every setting whose role is not a member's own or a label, the images, the threads as resolved for
    this machine and the last epoch.

    Args:
        own: dotted keys of further settings of which the backend trains each member with its own value.
    """
    settings = job.settings
    shared: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Section):
            # The threads of a run are those that its job has on this machine.
            left_out = {"threads"} if name == "runtime" else set()
            left_out |= {key.removeprefix(f"{name}.") for key in own}
            shared[name] = value.model_dump(mode="json", include=set(shared_fields(type(value)) - left_out))
        elif role_of(type(settings), name).in_cohort_key and name not in own:
            shared[name] = settings.model_dump(mode="json", include={name})
    return json.dumps([job.fingerprint, job.threads, job.last_epoch, shared], sort_keys=True)


def form_cohorts(jobs: Sequence[Job], *, on_gpu: bool, own: Collection[str] = ()) -> list[list[Job]]:
    """Group the jobs into cohorts, in the order of their first members. Each cohort is sorted by optimizer.

    `own`: see `cohort_key`.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(cohort_key(job, own), []).append(job)
    cohorts = []
    for group in groups.values():
        group.sort(key=lambda job: job.settings.optimizer.name)
        size = largest(group[0].settings, len(group), on_gpu=on_gpu)
        cohorts += [group[start : start + size] for start in range(0, len(group), size)]
    return cohorts


def largest(settings: Settings, runs: int, *, on_gpu: bool) -> int:
    """Largest number of members of a cohort, by `runtime.cohort`.

    `auto` means all `runs` of a small model on a GPU. On the CPU, and for a large model, it means 1: a single large
    network has channels_last kernels, which grouped convolutions lack, and other cohorts use concurrent streams.
    """
    asked, facts = settings.runtime.cohort, facts_of(settings.model)
    # torch.compile compiles one network at a time, and the plain backend trains one.
    if settings.runtime.compile or own_components(settings) or plain_reason(settings) is not None:
        return 1
    if asked != "auto":
        return asked
    return runs if on_gpu and (facts is None or facts.small) else 1


@dataclass(frozen=True)
class Task:
    """Work for one worker at a time: one cohort on the CPU, or all cohorts of a GPU."""

    cohorts: tuple[tuple[Job, ...], ...]
    """Each tuple is a cohort, whose runs train together."""
    streams: int = 1
    """Cohorts that the process trains concurrently."""
    gpu: int | None = None
    """Number of the GPU that the process sees. None leaves the visible devices unchanged."""

    @property
    def jobs(self) -> list[Job]:
        """All runs of the task."""
        return [job for cohort in self.cohorts for job in cohort]

    @property
    def cores(self) -> int:
        """Cores that it keeps busy. 0 on a GPU."""
        return 0 if self.gpu is not None else max(job.threads for job in self.jobs)

    def only(self, run_ids: set[str]) -> Task:
        """The same task, restricted to these runs."""
        left = (tuple(job for job in cohort if job.run_id in run_ids) for cohort in self.cohorts)
        return Task(tuple(cohort for cohort in left if cohort), self.streams, self.gpu)


def make_tasks(jobs: Sequence[Job], gpus: int, streams: int | None = None) -> list[Task]:
    """Divide the jobs into tasks for the CPU (`gpus` is 0) or for the GPUs.

    Args:
        jobs: the runs. On the CPU the longest are scheduled first.
        gpus: number of GPUs. Each gets a share of the cohorts as one task, the smallest batches first.
        streams: concurrent cohorts per GPU. None means `GPU_STREAMS`.
    """
    if gpus == 0:
        return _longest_first(form_cohorts(jobs, on_gpu=False))
    on_cpu = [job for job in jobs if job.settings.runtime.device == "cpu"]
    cohorts = form_cohorts([job for job in jobs if job.settings.runtime.device != "cpu"], on_gpu=True)
    cohorts.sort(key=lambda cohort: cohort[0].settings.data.batch_size)
    # torch's deterministic mode and its global generators, which a custom model may draw from, belong to a process.
    shared: dict[bool, list[list[Job]]] = {}
    alone = []
    for cohort in cohorts:
        settings = cohort[0].settings
        if own_code(settings) or settings.runtime.compile:
            alone.append(cohort)
        else:
            shared.setdefault(settings.runtime.deterministic, []).append(cohort)
    tasks = [
        Task(tuple(map(tuple, group[gpu::gpus])), streams or GPU_STREAMS, gpu)
        for group in shared.values()
        for gpu in range(min(gpus, len(group)))
    ]
    tasks += [Task((tuple(cohort),), gpu=number % gpus) for number, cohort in enumerate(alone)]
    return tasks + _longest_first(form_cohorts(on_cpu, on_gpu=False))


def _longest_first(cohorts: Sequence[Sequence[Job]]) -> list[Task]:
    """One task per cohort, by decreasing estimated time (LPT scheduling, Graham 1969). Ties keep their order."""
    longest = sorted(cohorts, key=lambda cohort: guess_seconds(cohort[0].settings), reverse=True)
    return [Task((tuple(cohort),)) for cohort in longest]
