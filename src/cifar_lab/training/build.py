"""From settings to the objects that train: networks, optimizer, schedule, steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from cifar_lab import models
from cifar_lab.config import CustomModel, Settings
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.training.backends.cuda_graph import CudaGraphBackend, NotCapturedError
from cifar_lab.training.backends.kernels.steps import KernelBackend
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.loading import layout, training_layout
from cifar_lab.training.loop import EagerBackend, StepBackend
from cifar_lab.training.optim import flatten_parameters, make_optimizer, make_schedule


@dataclass(frozen=True)
class BackendInfo:
    """In which way a cohort's steps are made."""

    members: int = 1
    stacked: bool = False
    captured: bool = False
    eager_reason: str | None = None
    """Why a GPU makes steps or networks one by one."""
    kernels_reason: str | None = None
    """Why the CPU makes steps of torch's kernels, where the settings leave it open."""


def place(network: nn.Module, execution: Execution, memory_format: torch.memory_format) -> nn.Module:
    """The network on the run's device, in its memory format."""
    return network.to(execution.device).to(memory_format=memory_format)


def build_cohort(
    settings: Sequence[Settings],
    seeds: Sequence[int],
    num_classes: int,
    steps_per_epoch: int,
    execution: Execution,
    *,
    stacked: bool = False,
) -> tuple[Cohort, str | None]:
    """(fresh networks, one a member, each from the streams of its own seed, with their optimizer and schedule; why
    they are not stacked although `stacked` asks for it)."""
    first = settings[0]
    memory_format = training_layout(execution, layout(first.model, execution, stacked=stacked))
    networks = []
    for member, seed in zip(settings, seeds, strict=True):
        with seeded_init(seed):
            network = models.build(member.model, num_classes)
        networks.append(place(network, execution, memory_format))
    parameters = flatten_parameters(networks)
    optimizers = [member.optimizer for member in settings]
    schedule = make_schedule([member.scheduler for member in settings], optimizers, first.epochs, steps_per_epoch)
    together, reason = None, None
    if stacked:
        from cifar_lab.models.stacked import NotStackable, stack

        try:
            together = stack(networks, parameters, deterministic=first.runtime.deterministic)
        except NotStackable as error:
            reason = f"networks one by one: {error}"
    if first.runtime.compile:
        for network in networks:
            network.compile()
    optimizer = make_optimizer(optimizers, parameters)
    return Cohort(networks, parameters, optimizer, schedule, together), reason


def make_steps(
    cohort: Cohort, batches: CohortBatches, settings: Settings, execution: Execution, reason: str | None = None
) -> tuple[StepBackend, BackendInfo]:
    """Who makes the cohort's steps: a captured graph on a GPU where that is possible, `kernels` where `execution` says.

    `reason`: why the networks are not stacked, for the record.
    """
    eager = EagerBackend(
        cohort, batches, settings.loss.label_smoothing, execution, model_draws=isinstance(settings.model, CustomModel)
    )
    how = BackendInfo(len(cohort.networks), cohort.stacked is not None, False, reason)
    if execution.own_kernels:
        return KernelBackend(eager), how
    if execution.device.type == "cpu":
        return eager, how
    if settings.runtime.compile:
        return eager, replace(how, eager_reason=reason or "runtime.compile launches its own kernels")
    try:
        return CudaGraphBackend(eager), replace(how, captured=True)
    except NotCapturedError as error:
        return eager, replace(how, eager_reason="; ".join(filter(None, (reason, str(error)))))
