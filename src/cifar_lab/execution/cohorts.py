"""Cohorts: jobs that train together because they differ only in settings of a member. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cifar_lab.config import Settings
from cifar_lab.config.model_catalog import MODEL_FACTS
from cifar_lab.training.job import Job

OWN_DATA_KEYS = {"flip"}
"""Settings of the data that each member has for itself."""

GPU_STREAMS = 4
"""Default number of concurrent cohorts per GPU (`--workers`)."""

SHARED_RUNTIME = ("device", "precision", "compile", "kernels", "deterministic", "cohort")


def cohort_key(job: Job) -> str:
    """Equal for runs that can be members of one cohort.

    They share images, batch size, augmentation (flips apart), architecture, epochs, loss and precision. Seed, learning
    rate, momentum, betas, weight decay, optimizer, schedule and flips are each member's own.
    """
    settings = job.settings
    shared = {
        "fingerprint": job.fingerprint,
        "data": settings.data.model_dump(mode="json", exclude=OWN_DATA_KEYS),
        "model": settings.model.model_dump(mode="json"),
        "loss": settings.loss.model_dump(mode="json"),
        "epochs": settings.epochs,
        "runtime": settings.runtime.model_dump(mode="json", include=set(SHARED_RUNTIME)),
        "threads": job.threads,
        "last_epoch": job.last_epoch,
    }
    return json.dumps(shared, sort_keys=True)


def form_cohorts(jobs: Sequence[Job], *, on_gpu: bool) -> list[list[Job]]:
    """Group the jobs into cohorts, in the order of their first members. Each cohort is sorted by optimizer."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(cohort_key(job), []).append(job)
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
