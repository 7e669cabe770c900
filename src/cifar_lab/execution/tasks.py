"""What a worker process is handed at a time: one cohort on the CPU, all that a GPU can take side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.config import CustomModel
from cifar_lab.execution.cohorts import GPU_LANES, form_cohorts
from cifar_lab.execution.pace import guess_seconds
from cifar_lab.training.job import Job


@dataclass(frozen=True)
class Task:
    """What one worker is handed at a time."""

    cohorts: tuple[tuple[Job, ...], ...]
    """Runs that train together, each tuple a cohort."""
    lanes: int = 1
    """Cohorts made side by side in the process."""
    gpu: int | None = None
    """Number of the GPU that the process sees; None leaves them as they are."""

    @property
    def jobs(self) -> list[Job]:
        """All runs of the task."""
        return [job for cohort in self.cohorts for job in cohort]

    def only(self, run_ids: set[str]) -> Task:
        """The same task with no other runs than these."""
        left = (tuple(job for job in cohort if job.run_id in run_ids) for cohort in self.cohorts)
        return Task(tuple(cohort for cohort in left if cohort), self.lanes, self.gpu)


def make_tasks(jobs: Sequence[Job], gpus: int, lanes: int | None = None) -> list[Task]:
    """The jobs as tasks for this machine's processors (`gpus` is 0) or for its GPUs.

    Args:
        jobs: the runs to make; on this machine's processors those that take longest go first.
        gpus: how many there are; each gets a share of the cohorts as one task, those with most steps first.
        lanes: cohorts side by side on a GPU; None is `GPU_LANES`.
    """
    if gpus == 0:
        return _longest_first(form_cohorts(jobs, on_gpu=False))
    elsewhere = [job for job in jobs if job.settings.runtime.device == "cpu"]
    cohorts = form_cohorts([job for job in jobs if job.settings.runtime.device != "cpu"], on_gpu=True)
    cohorts.sort(key=lambda cohort: cohort[0].settings.data.batch_size)
    # torch's switch for deterministic kernels and its generators, which a model of one's own may draw from, are a
    # process's.
    shared: dict[bool, list[list[Job]]] = {}
    alone = []
    for cohort in cohorts:
        settings = cohort[0].settings
        if isinstance(settings.model, CustomModel) or settings.runtime.compile:
            alone.append(cohort)
        else:
            shared.setdefault(settings.runtime.deterministic, []).append(cohort)
    tasks = [
        Task(tuple(map(tuple, group[gpu::gpus])), lanes or GPU_LANES, gpu)
        for group in shared.values()
        for gpu in range(min(gpus, len(group)))
    ]
    tasks += [Task((tuple(cohort),), gpu=number % gpus) for number, cohort in enumerate(alone)]
    return tasks + _longest_first(form_cohorts(elsewhere, on_gpu=False))


def _longest_first(cohorts: Sequence[Sequence[Job]]) -> list[Task]:
    """So that at the end no processor waits for another's long run (Graham 1969); otherwise in their order."""
    longest = sorted(cohorts, key=lambda cohort: guess_seconds(cohort[0].settings), reverse=True)
    return [Task((tuple(cohort),)) for cohort in longest]
