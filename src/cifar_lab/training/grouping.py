"""Runs that can train together, by the settings that a cohort shares. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from cifar_lab.config import Section
from cifar_lab.config.roles import role_of, shared_fields
from cifar_lab.training.job import Job


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
            left_out |= {key.removeprefix(f"{name}.") for key in own if key.startswith(f"{name}.")}
            shared[name] = value.model_dump(mode="json", include=set(shared_fields(type(value)) - left_out))
        elif role_of(type(settings), name).in_cohort_key and name not in own:
            shared[name] = settings.model_dump(mode="json", include={name})
    return json.dumps([job.fingerprint, job.threads, job.last_epoch, shared], sort_keys=True)


def grouped(jobs: Sequence[Job], own: Collection[str] = ()) -> list[list[Job]]:
    """Jobs by their cohort key, in the order of the first of each group. `own` as in `cohort_key`."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(cohort_key(job, own), []).append(job)
    return list(groups.values())
