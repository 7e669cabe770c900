"""Cohorts that train concurrently on one device, each on its own CUDA stream, in groups that fit into its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from cifar_lab.config.registry import facts_of
from cifar_lab.data import known
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.patches import patch_covariance
from cifar_lab.training.backends.block.conditions import MODELS, UnequalMembers, are_mixed, parts_of
from cifar_lab.training.backends.block.gpu import compile_ahead
from cifar_lab.training.backends.choice import choose_kernels
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.build import build_cohort, layout, load_training_data
from cifar_lab.training.callbacks import Tell
from cifar_lab.training.device import (
    Execution,
    choose_device,
    free_bytes,
    is_out_of_memory,
    own_stream,
    peak_bytes,
    prepare_execution,
)
from cifar_lab.training.grouping import grouped
from cifar_lab.training.job import Job
from cifar_lab.training.run import Ended, run_cohort

TRIAL_MEMBERS = (2, 4)
"""Sizes of the trial cohorts. The difference of their peaks is the memory of a member."""

USABLE_SHARE = 0.8
"""Share of the free memory to plan with. Captured graphs keep private pools, and kernels allocate workspaces."""


def run_cohorts(
    cohorts: Sequence[Sequence[Job]], streams: int, tell: Tell, should_stop: Callable[[], bool], ended: Ended
) -> None:
    """Make the runs of every cohort, `streams` cohorts at a time, and call `ended` once per run.

    Fewer large networks are trained at a time if a GPU's memory does not hold `streams` of them. A cohort is divided if
    its share of the memory does not hold all members. Members of cohorts that only the block kernel trains are grouped
    anew where it is not available. `tell` and `ended` are called from several threads.
    """
    cohorts = _stackable(cohorts, ended)
    streams = streams_that_fit(cohorts, min(streams, len(cohorts)))
    groups = [group for cohort in cohorts for group in _divide(cohort, streams, ended)]

    def make(group: Sequence[Job]) -> None:
        try:
            with own_stream(choose_device(group[0].settings.runtime.device)):
                run_cohort(group, tell, should_stop, ended)
        except Exception as error:
            _end(group, error, ended)

    if streams == 1 or len(groups) == 1:
        for group in groups:
            make(group)
        return
    with ThreadPoolExecutor(streams) as pool:
        for future in [pool.submit(make, group) for group in groups]:
            future.result()


def _stackable(cohorts: Sequence[Sequence[Job]], ended: Ended) -> list[Sequence[Job]]:
    """The cohorts, with those regrouped that cannot train as they are. If the choice fails, its error ends the runs.

    The block kernel of the others begins to compile.
    """
    found: list[Sequence[Job]] = []
    refused: list[Job] = []
    for cohort in cohorts:
        try:
            _compile_ahead(cohort)
            found.append(cohort)
        except UnequalMembers:
            refused += cohort
        except Exception as error:
            _end(cohort, error, ended)
    return found + grouped(sorted(refused, key=lambda job: job.settings.optimizer.name))


def _compile_ahead(cohort: Sequence[Job]) -> None:
    """Begin to compile the block kernel for a cohort that it trains. The cohort is built meanwhile.

    Raises:
        UnequalMembers: as `_takes_kernel`.
    """
    settings, arms = cohort[0].settings, [job.settings for job in cohort]
    on_gpu = choose_device(settings.runtime.device).type != "cpu"
    if not (on_gpu or are_mixed(arms)):
        return
    execution = prepare_execution(settings.runtime, cohort[0].threads)
    info = known(settings.data, cohort[0].fingerprint)
    if _takes_kernel(cohort, execution) and on_gpu and info is not None:
        compile_ahead(execution.device, MODELS[settings.model.name], len(info.classes), parts_of(arms))


def _takes_kernel(cohort: Sequence[Job], execution: Execution) -> bool:
    """Whether this project's kernels train a new cohort.

    Raises:
        UnequalMembers: they do not, and nothing else trains its members together.
    """
    arms = [job.settings for job in cohort]
    return choose_kernels(arms[0], execution, len(arms), None, arms=arms)[0].own_kernels


def _end(cohort: Sequence[Job], error: Exception, ended: Ended) -> None:
    for job in cohort:
        ended(job, error)


def _divide(cohort: Sequence[Job], streams: int, ended: Ended) -> list[Sequence[Job]]:
    """Divide a cohort into groups that fit into the device's memory. If the trial fails, its error ends the runs."""
    if len(cohort) == 1:
        return [cohort]
    try:
        size = members_that_fit(cohort, streams)
    except Exception as error:
        _end(cohort, error, ended)
        return []
    return [cohort[start : start + size] for start in range(0, len(cohort), size)]


@dataclass(frozen=True)
class MemoryNeed:
    """Device memory of a cohort, in bytes."""

    base: int
    """Independent of the number of members: images and workspaces of libraries."""
    member: int
    """Per member: parameters, gradients, optimizer state, activations."""

    def members_in(self, available: float, most: int) -> int:
        """Members that fit into `available` bytes, from 1 to `most`."""
        return max(1, min(most, int((available - self.base) // max(self.member, 1))))


def streams_that_fit(cohorts: Sequence[Sequence[Job]], streams: int) -> int:
    """Cohorts that a GPU's memory holds at a time, at most `streams`.

    Measured by a training step of the large network with the largest batch. Small networks need no trial.
    """
    large = [cohort for cohort in cohorts if len(cohort) == 1 and _is_large(cohort[0])]
    if streams < 2 or not large:
        return max(1, streams)
    widest = max(large, key=lambda cohort: cohort[0].settings.data.batch_size)
    try:
        execution = prepare_execution(widest[0].settings.runtime, widest[0].threads)
        if execution.device.type == "cpu":
            return streams
        available = free_bytes(execution.device) * USABLE_SHARE
        return MemoryNeed(base=0, member=_peak_of(widest, execution)).members_in(available, streams)
    except Exception as error:  # the run itself meets and reports it
        return 1 if is_out_of_memory(error) else streams


def _is_large(job: Job) -> bool:
    facts = facts_of(job.settings.model)
    return facts is not None and not facts.small


def members_that_fit(cohort: Sequence[Job], streams: int) -> int:
    """Number of these runs to train together if `streams` cohorts share the device. On the CPU, all of them."""
    settings = cohort[0].settings
    execution = prepare_execution(settings.runtime, cohort[0].threads)
    if execution.device.type == "cpu" or len(cohort) <= max(TRIAL_MEMBERS):
        return len(cohort)
    if _takes_kernel(cohort, execution):
        return len(cohort)  # some MB each, against activations of a whole batch
    available = free_bytes(execution.device) * USABLE_SHARE / streams
    small = _peak_of(cohort[: TRIAL_MEMBERS[0]], execution)
    if small * len(cohort) <= available * TRIAL_MEMBERS[0]:  # even if all memory of the trial were the members' own
        return len(cohort)
    large = _peak_of(cohort[: TRIAL_MEMBERS[1]], execution)
    member = (large - small) // (TRIAL_MEMBERS[1] - TRIAL_MEMBERS[0])
    need = MemoryNeed(base=small - TRIAL_MEMBERS[0] * member, member=member)
    return need.members_in(available, len(cohort))


def _peak_of(jobs: Sequence[Job], execution: Execution) -> int:
    """Peak memory in bytes of one training step of these runs together."""
    settings, stacked = jobs[0].settings, len(jobs) > 1
    with peak_bytes(execution.device) as peak:
        training, _, identity = load_training_data(
            settings, jobs[0].fingerprint, execution, layout(settings, execution, stacked=stacked)
        )
        batches = CohortBatches(training, settings.data, [job.seed for job in jobs])
        cohort, _ = build_cohort(
            [job.build_settings for job in jobs], batches.seeds, len(identity.classes), batches.steps_per_epoch,
            execution, stacked=stacked, covariance=partial(patch_covariance, training),
        )  # fmt: skip
        backend = EagerBackend(cohort, batches, settings.loss.label_smoothing, execution, stochastic_forward=False)
        next(backend.epoch(0))
    return peak()
