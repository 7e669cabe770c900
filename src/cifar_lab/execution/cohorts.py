"""Cohorts: jobs that train together because they differ only in settings of a member. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from cifar_lab.config import Section, Settings
from cifar_lab.config.registry import MODEL_FACTS
from cifar_lab.config.roles import role_of, shared_fields
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
    asked, facts = settings.runtime.cohort, MODEL_FACTS.get(settings.model.name)
    if settings.runtime.compile:  # torch.compile compiles one network at a time
        return 1
    if asked != "auto":
        return asked
    return runs if on_gpu and (facts is None or facts.small) else 1
