"""Tasks, the units of work of a worker process, and the queue that supervisors take them from."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cifar_lab.config import CustomModel
from cifar_lab.execution.cohorts import GPU_STREAMS, form_cohorts
from cifar_lab.execution.cost import guess_seconds
from cifar_lab.training.job import Job


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
        if isinstance(settings.model, CustomModel) or settings.runtime.compile:
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


class PullQueue:
    """Tasks in their order, for several consumers. A task that is given back is handed out again.

    Exclusive tasks run with no other task beside them. They come last, so that no consumer is idle before that.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._waiting = deque(tasks)
        self._alone: deque[Task] = deque()
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, *, wait: bool) -> Task | None:
        """Take the next task.

        Returns:
            None if there is none at the moment. With `wait`, None only once all tasks are finished or the queue is
            closed, because a task in progress may be given back.
        """
        with self._changed:
            while True:
                task = None if self._closed else self._next()
                if task is not None:
                    self._taken += 1
                    return task
                if not wait or self._closed or not (self._taken or self._waiting or self._alone):
                    return None
                self._changed.wait()

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft()
        return self._alone.popleft() if self._alone and not self._taken else None

    def give_back(self, task: Task, *, alone: bool) -> None:
        """Queue a taken task once more, with `alone` as an exclusive one."""
        with self._changed:
            if alone:
                self._alone.append(task)
            else:
                self._waiting.appendleft(task)

    def finished(self) -> None:
        """Mark a taken task as finished or given back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out no more tasks."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
