"""Division of jobs into cohorts and tasks, the units of work of a worker. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

from cifar_lab.config import Settings
from cifar_lab.config.own_code import own_code, own_components, plain_reason
from cifar_lab.config.registry import facts_of
from cifar_lab.core.host import most_open_files
from cifar_lab.execution.cost import guess_seconds
from cifar_lab.training.backends.block.conditions import OWN, has_enough, may_train
from cifar_lab.training.grouping import grouped
from cifar_lab.training.job import Job

GPU_STREAMS = 4
"""Default number of concurrent cohorts per GPU (`--workers`)."""

FULL_GPU = 160
"""Networks of several batch sizes that fill a GPU with the block kernel. An H100 or H200 (SXM) has 132 multiprocessors.

In a simulation with the rates of the kernel's prototype and the batch sizes of configs/q8_grid.yaml, blocks waited for
slower networks for 12 % of a launch with 132 networks, 6 % with 160 and none with 240."""

OTHER_FILES = 128
"""Open files that a worker keeps for all but the locks of its members: libraries, images, GPUs, pipes."""


def form_cohorts(jobs: Sequence[Job], *, on_gpu: bool, own: Collection[str] = ()) -> list[list[Job]]:
    """Group the jobs into cohorts, in the order of their first members. Each cohort is sorted by optimizer.

    `own`: see `training.grouping.cohort_key`.
    """
    cohorts = []
    for group in grouped(jobs, own):
        group.sort(key=lambda job: job.settings.optimizer.name)
        size = largest(group[0].settings, len(group), on_gpu=on_gpu)
        cohorts += [group[start : start + size] for start in range(0, len(group), size)]
    return cohorts


def form_kernel_cohorts(jobs: Sequence[Job], gpus: int) -> tuple[list[list[Job]], list[Job]]:
    """Cohorts for the block kernel, of any batch sizes, and the jobs that are not for it or too few.

    Each cohort has an equal share of every kind of run, so that GPUs and concurrent cohorts end at about the same time.
    """
    mixed = {key: trains_mixed(job.settings) for key, job in {id(job.settings): job for job in jobs}.items()}
    cohorts: list[list[Job]] = []
    for group in grouped([job for job in jobs if mixed[id(job.settings)]], OWN):
        parts = kernel_cohorts([job.settings for job in group], gpus)
        group.sort(key=lambda job: (job.settings.optimizer.name, job.settings.data.batch_size))
        cohorts += [group[part::parts] for part in range(parts)]
    taken = {job.run_id for cohort in cohorts for job in cohort}
    return cohorts, [job for job in jobs if job.run_id not in taken]


def kernel_cohorts(arms: Sequence[Settings], gpus: int) -> int:
    """Number of cohorts in which the block kernel trains runs of these settings.

    Each fills a GPU by itself, so that one trains while another is evaluated. With fewer runs there is one per GPU, or
    as many as have enough runs for the kernel. 0 where it needs more runs.
    """
    runs = len(arms)
    least = ceil(runs / most_members(on_gpu=True))
    most = max(least, gpus * max(1, runs // (gpus * FULL_GPU)))
    return next((parts for parts in range(most, max(least, 1) - 1, -1) if has_enough(arms, runs // parts)), 0)


def trains_mixed(settings: Settings) -> bool:
    """Whether such a run is planned for the block kernel, with runs of other batch sizes."""
    return settings.runtime.cohort == "auto" and may_train(settings)


def largest(settings: Settings, runs: int, *, on_gpu: bool) -> int:
    """Largest number of members of a cohort, by `runtime.cohort`.

    `auto` means all `runs` of a small model on a GPU. On the CPU, and for a large model, it means 1: a single large
    network has channels_last kernels, which grouped convolutions lack, and other cohorts use concurrent streams.
    """
    asked, facts = settings.runtime.cohort, facts_of(settings.model)
    # torch.compile compiles one network at a time, and the plain backend trains one.
    if settings.runtime.compile or own_components(settings) or plain_reason(settings) is not None:
        return 1
    most = most_members(on_gpu=on_gpu)
    if asked != "auto":
        return min(asked, most)
    return min(runs, most) if on_gpu and (facts is None or facts.small) else 1


def most_members(*, on_gpu: bool) -> int:
    """Members of a cohort whose locks one process can hold open, beside the files of torch and of the data."""
    cohorts = GPU_STREAMS if on_gpu else 1
    return max(1, (most_open_files() - OTHER_FILES) // cohorts)


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
    cohorts, others = form_kernel_cohorts([job for job in jobs if job.settings.runtime.device != "cpu"], gpus)
    cohorts += form_cohorts(others, on_gpu=True)
    cohorts.sort(key=lambda cohort: min(job.settings.data.batch_size for job in cohort))
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
