"""Cohorts of the block kernel and of torch for the tests of the block kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cifar_lab.config import SGD, Adam, Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches, Normalizer, ResidentSplit
from cifar_lab.training.backends.block.backend import BlockBackend, BlockKernel
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution

from ...step_runs import ARMS, drawn


def arms(*overrides: str, device: str = "cpu", names: Sequence[str] = tuple(ARMS)) -> list[Settings]:
    """Arms with every optimizer, and with several schedules."""
    base = {"data": {"dataset": "synthetic"}, "epochs": 2, "runtime": {"device": device}}
    return [settings_from(base, overrides=[*ARMS[name], *overrides]) for name in names]


def eager(cohort_arms: Sequence[Settings], images: int, seeds: Sequence[int] | None = None) -> EagerBackend:
    """The backend of torch for these arms, and what it trains. Equal arguments give equal cohorts."""
    first = cohort_arms[0]
    execution = prepare_execution(first.runtime, threads=1)
    pixels, labels = drawn(images)
    statistics = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    normalizer = Normalizer.make(first.data.normalize, *statistics, execution.device)
    split = ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)
    seeds = range(len(cohort_arms)) if seeds is None else seeds
    batches = CohortBatches(split, first.data, seeds, [arm.data.flip for arm in cohort_arms])
    cohort, _ = build_cohort(cohort_arms, batches.seeds, 10, batches.steps_per_epoch, execution, stacked=True)
    return EagerBackend(cohort, batches, first.loss.label_smoothing, execution, stochastic_forward=False)


def block(steps: EagerBackend, kernel: BlockKernel, cohort_arms: Sequence[Settings]) -> BlockBackend:
    """The block backend with the cohort of `steps`."""
    optimizers = [arm.optimizer for arm in cohort_arms if isinstance(arm.optimizer, SGD | Adam)]
    return BlockBackend(steps, kernel, optimizers, 10)


def state_of(steps: EagerBackend | BlockBackend) -> list[torch.Tensor]:
    """Weights and optimizer state of all members, on the CPU."""
    found = [steps.cohort.parameters.values.detach().cpu().clone()]
    for k in range(len(steps.cohort.networks)):
        found += [tensor.cpu() for tensor in steps.cohort.state(k)["optimizer"].values()]
    return found
