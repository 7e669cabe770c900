"""How many runs a device's memory holds at once, from a trial step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.data.batches import CohortBatches
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import Execution, free_bytes, peak_bytes, prepare_execution
from cifar_lab.training.job import Job
from cifar_lab.training.loading import layout, load_training_data
from cifar_lab.training.loop import EagerBackend

TRIAL_MEMBERS = (2, 4)
"""Cohorts that are tried: the difference of their peaks is what a member takes."""

USABLE_SHARE = 0.8
"""Of the memory that is free: captured graphs keep pools of their own, and kernels ask for workspaces."""


@dataclass(frozen=True)
class MemoryNeed:
    """What a cohort takes of a device's memory, in bytes."""

    base: int
    """Whatever the number of members: the images, the libraries' workspaces."""
    member: int
    """For each member: parameters, gradients, optimizer, activations."""

    def members_in(self, available: float) -> int:
        """Members that fit into `available` bytes; at least 1, which is then tried."""
        return max(1, int((available - self.base) // max(self.member, 1)))


def members_that_fit(cohort: Sequence[Job], lanes: int) -> int:
    """How many of these runs to train together when `lanes` cohorts share the device; all of them on the CPU."""
    settings = cohort[0].settings
    execution = prepare_execution(settings.runtime, cohort[0].threads)
    if execution.device.type == "cpu" or len(cohort) <= max(TRIAL_MEMBERS):
        return len(cohort)
    available = free_bytes(execution.device) * USABLE_SHARE / lanes
    small, large = (_peak_of(cohort[:members], execution) for members in TRIAL_MEMBERS)
    member = (large - small) // (TRIAL_MEMBERS[1] - TRIAL_MEMBERS[0])
    need = MemoryNeed(base=small - TRIAL_MEMBERS[0] * member, member=member)
    return min(len(cohort), need.members_in(available))


def _peak_of(jobs: Sequence[Job], execution: Execution) -> int:
    """Peak bytes of one training step of these runs together."""
    settings = jobs[0].settings
    with peak_bytes(execution.device) as peak:
        training, _, identity = load_training_data(
            settings, jobs[0].fingerprint, execution, layout(settings.model, execution, stacked=True)
        )
        batches = CohortBatches(training, settings.data, [job.seed for job in jobs])
        cohort, _ = build_cohort(
            [job.settings for job in jobs], batches.seeds, len(identity.classes), batches.steps_per_epoch, execution,
            stacked=True,
        )  # fmt: skip
        steps = EagerBackend(cohort, batches, settings.loss.label_smoothing, execution, model_draws=False)
        next(steps.epoch(0))
    return peak()
