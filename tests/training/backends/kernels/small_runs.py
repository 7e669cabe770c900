"""One run on a few images, with its steps made of torch's kernels and of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.kernels.backend import KernelBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution

from ...step_runs import drawn

NETS = ("Net", "Net1", "Net2", "Net3")


def settings(*overrides: str) -> Settings:
    given = {"data": {"dataset": "synthetic", "batch_size": 16}, "epochs": 3, "runtime": {"device": "cpu"}}
    return settings_from(given, overrides=overrides)


def drawn_split(images: int) -> ResidentSplit:
    return split_of(*drawn(images))


def split_of(pixels: Tensor, labels: Tensor) -> ResidentSplit:
    """uint8 (N, 3, 32, 32) and int64 (N,), normalised with another mean and deviation for each channel."""
    normalizer = Normalizer.make("channel", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3), torch.device("cpu"))
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


def steps_of(arm: Settings, split: ResidentSplit, *, threads: int = 1, seed: int = 3) -> EagerBackend:
    """Steps of torch's kernels, on images and weights in the memory format that our own want."""
    execution = replace(prepare_execution(arm.runtime, threads), own_kernels=True)
    batches = CohortBatches(split, arm.data, [seed])
    cohort, _ = build_cohort([arm], [seed], 10, batches.steps_per_epoch, execution)
    cohort.train_mode()
    return EagerBackend(cohort, batches, arm.loss.label_smoothing, execution, stochastic_forward=False)


def own_steps(arm: Settings, split: ResidentSplit, *, threads: int = 1, seed: int = 3) -> KernelBackend:
    """The same steps of our own kernels."""
    return KernelBackend(steps_of(arm, split, threads=threads, seed=seed))


def torch_gradients(network: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> tuple[float, int]:
    """(mean loss, number right) of a batch, whose gradients become those of the network."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
    logits = network(images)  # (B, classes)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss.backward()
    return loss.item(), int((logits.argmax(dim=1) == labels).sum())


TOLERANCE = 1e-6
"""Relative distance of a loss from double precision."""

ROUNDING = 2.4e-7
"""Two units in the last place of a float32: less says nothing about either of two kernels."""

FACTOR = 6
"""Rounding error of the kernels in multiples of torch's, at most."""


def compare_losses(own: Sequence[float], torchs: Sequence[float], exact: Sequence[float]) -> None:
    """Each loss is that of double precision within TOLERANCE, and no worse than torch's on this processor."""
    error, torch_error = (
        max(abs(loss - wanted) / wanted for loss, wanted in zip(losses, exact, strict=True)) for losses in (own, torchs)
    )
    assert error <= TOLERANCE
    assert error <= max(ROUNDING, FACTOR * torch_error)


def compare_gradients(own: nn.Module, expected: nn.Module, exact: nn.Module) -> None:
    """Each gradient is that of double precision but for 1e-5 of its largest number.

    In a batch of few images rounding decides about BatchNorm's gradients: there the kernels may be FACTOR times as far
    from double precision as torch.
    """
    precise = {name: gradient_of(parameter) for name, parameter in exact.named_parameters()}
    largest = max(float(gradient.abs().max()) for gradient in precise.values())
    torchs = dict(expected.named_parameters())
    for name, parameter in own.named_parameters():
        found, rounded = gradient_of(parameter), gradient_of(torchs[name])
        size = largest if is_before_norm(own, name) else float(precise[name].abs().max())
        rounding = float((rounded - precise[name]).abs().max())
        away = float((found - precise[name]).abs().max())
        assert away <= max(1e-5 * size, FACTOR * rounding), f"{name}: {away / size:.2g} of its largest away"


def is_before_norm(network: nn.Module, name: str) -> bool:
    """Whether this is a bias before BatchNorm, which takes away what it adds: its gradient is rounding alone."""
    return hasattr(network, "bn1") and name in ("conv1.bias", "conv2.bias", "fc1.bias")


def gradient_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
