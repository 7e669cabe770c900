"""Cohorts of the block kernel and of torch for the tests of the block kernel."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.training.backends.block.backend import BlockBackend, BlockKernel
from cifar_lab.training.backends.block.member_state import columns_of
from cifar_lab.training.backends.block.update_rules import MATRICES, optimizers_of
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution

from ...step_runs import ARMS, drawn

MUON = ["optimizer.name=muon", "optimizer.lr=0.02"]
LATE_ARMS = {
    "muon": [
        *MUON, "optimizer.weight_decay=0.02", "scheduler.name=trapezoid", "scheduler.decay_fraction=0.5",
        "data.flip=alternating",
    ],
    "muon, adamw": [
        *MUON, "optimizer.nesterov=false", "optimizer.ns_steps=3", "optimizer.others.name=adamw",
        "optimizer.others.lr=0.001", "scheduler.name=one_cycle", "data.flip=true",
    ],
    "muon, groups": [
        *MUON, "optimizer.clip_norm=0.5", "optimizer.others.nesterov=false", "optimizer.others.weight_decay=0.1",
        "optimizer.groups=[{match: ^fc1, lr_factor: 0.5, weight_decay: 0.3}, {match: bias, lr_factor: 3}]",
    ],
    "adam, groups": [
        "optimizer.name=adam", "optimizer.lr=0.001", "optimizer.clip_norm=0.3", "optimizer.weight_decay=0.1",
        "optimizer.groups=[{match: ^conv, lr_factor: 0.5}, {match: fc3, lr_factor: 2}]",
    ],
    "sgd, layers": [
        "optimizer.lr=0.01", "optimizer.groups=[{match: bias, weight_decay: 0.5}]", "fine_tune.layer_decay=0.7",
        "fine_tune.head_lr_factor=2", "optimizer.nesterov=true",
    ],
}  # fmt: skip
"""Arms whose updates need the whole gradient of a batch, or differ between parameters."""


def arms(*overrides: str, device: str = "cpu", names: Sequence[str] = tuple(ARMS)) -> list[Settings]:
    """Arms with every optimizer, and with several schedules."""
    base = {"data": {"dataset": "synthetic"}, "epochs": 2, "runtime": {"device": device}}
    every = ARMS | LATE_ARMS
    return [settings_from(base, overrides=[*every[name], *overrides]) for name in names]


def plain_arm(model: str, batch: int, device: str = "cpu") -> Settings:
    """An arm with SGD whose update is the gradient."""
    (arm,) = arms(f"model.name={model}", f"data.batch_size={batch}", names=("sgd, none",), device=device)
    plain = arm.optimizer.model_copy(update={"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0})
    return arm.model_copy(update={"optimizer": plain})


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
    optimizers = optimizers_of(steps.cohort)
    assert len(optimizers) == len(cohort_arms)
    return BlockBackend(steps, kernel, optimizers, 10)


def state_of(steps: EagerBackend | BlockBackend) -> list[torch.Tensor]:
    """Weights and optimizer state of all members, on the CPU.

    Without the state of matrices in the rule beside Muon, which has no effect. torch's stacked form keeps one.
    """
    parameters = steps.cohort.parameters
    found = [parameters.values.detach().cpu().clone()]
    matrices = columns_of(parameters, MATRICES).cpu()
    for k in range(len(steps.cohort.networks)):
        for name, tensor in steps.cohort.state(k)["optimizer"].items():
            is_row = name.startswith("others.") and tensor.shape[1] == len(matrices)
            found.append(tensor.cpu().masked_fill(matrices, 0.0) if is_row else tensor.cpu())
    return found


def gradient_pairs(
    arm: Settings, exact: EagerBackend, own: EagerBackend, kernel: BlockKernel
) -> tuple[nn.Module, list[tuple[str, Tensor, Tensor]]]:
    """Gradients of one step by the kernel, read from its update of the weights, and by torch in double precision.

    Args:
        arm: see `plain_arm`.
        exact, own: equal cohorts of one network, whose batch has all images.

    Returns:
        The network in double precision after the step's forward pass. Name and both gradients of each parameter.
    """
    before = own.cohort.parameters.values.detach().clone()
    list(block(own, kernel, [arm]).epoch(0))
    moved = (before - own.cohort.parameters.values.detach())[0].cpu().double()
    network = copy.deepcopy(exact.cohort.networks[0]).cpu().double()
    images, labels = (tensor[0].cpu() for tensor in next(exact.batches.epoch(0)))
    loss = F.cross_entropy(network.train()(images.double()), labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return network, [
        (span.name, moved.as_strided(span.shape, span.stride, span.offset), gradient)
        for span, gradient in zip(own.cohort.parameters.spans, gradients, strict=True)
    ]


def assert_almost_all_close(mine: Tensor, theirs: Tensor, share: float = 1e-3) -> None:
    """A rounding may move the largest of four pixels or the sign before a ReLU, which changes a few gradients at once.

    Adam divides by the root of the second moment: where a gradient is all rounding, so is its step.

    Args:
        share: of the numbers that may differ by more than rounding.
    """
    difference = (mine - theirs).abs()
    assert (difference > 1e-6 + 1e-5 * theirs.abs()).double().mean() < share
    assert difference.max() < 2e-3
