"""One run on a few images, with its steps made of torch's kernels and of our own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.assembly import build_cohort
from cifar_lab.config import Settings
from cifar_lab.config_io import settings_from
from cifar_lab.data.batches import CohortBatches, Normalizer, ResidentSplit
from cifar_lab.kernels.steps import KernelSteps
from cifar_lab.runtime import prepare_execution
from cifar_lab.train import EagerSteps

NETS = ("Net", "Net1", "Net2", "Net3")


def settings(*overrides: str) -> Settings:
    given = {"data": {"dataset": "synthetic", "batch_size": 16}, "epochs": 3, "runtime": {"device": "cpu"}}
    return settings_from(given, overrides=overrides)


def drawn_split(images: int) -> ResidentSplit:
    """Ten classes that differ in colour, with noise on top."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (images,), generator=generator)
    colours = torch.randint(40, 216, (10, 3, 1, 1), generator=generator)
    noise = torch.randint(-40, 41, (images, 3, 32, 32), generator=generator)
    return split_of((colours[labels] + noise).clamp(0, 255).to(torch.uint8), labels)


def split_of(pixels: Tensor, labels: Tensor) -> ResidentSplit:
    """uint8 (N, 3, 32, 32) and int64 (N,), normalised with another mean and deviation for each channel."""
    normalizer = Normalizer.make("channel", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3), torch.device("cpu"))
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


def steps_of(arm: Settings, split: ResidentSplit, *, threads: int = 1, seed: int = 3) -> EagerSteps:
    """Steps of torch's kernels, on images and weights in the memory format that our own want."""
    execution = replace(prepare_execution(arm.runtime, threads), own_kernels=True)
    batches = CohortBatches(split, arm.data, [seed])
    cohort, _ = build_cohort([arm], [seed], 10, batches.steps_per_epoch, execution)
    cohort.train_mode()
    return EagerSteps(cohort, batches, arm.loss.label_smoothing, execution, model_draws=False)


def own_steps(arm: Settings, split: ResidentSplit, *, threads: int = 1, seed: int = 3) -> KernelSteps:
    """The same steps of our own kernels."""
    return KernelSteps(steps_of(arm, split, threads=threads, seed=seed))


def torch_gradients(steps: EagerSteps, images: Tensor, labels: Tensor) -> tuple[float, int]:
    """(mean loss, number right) of a batch (1, B, …), whose gradients become those of the one network."""
    steps.cohort.parameters.zero_gradients()
    logits = steps.cohort.networks[0](images[0])  # (B, classes)
    loss = F.cross_entropy(logits, labels[0], label_smoothing=steps.label_smoothing)
    loss.backward()
    return loss.item(), int((logits.argmax(dim=1) == labels[0]).sum())


def compare_gradients(own: KernelSteps, expected: EagerSteps, rounding: float) -> None:
    """Each gradient is the expected one but for `rounding` of its largest number."""
    network, reference = own.cohort.networks[0], expected.cohort.networks[0]
    wanted = {name: parameter.grad for name, parameter in reference.named_parameters()}
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, parameter in network.named_parameters():
        # BatchNorm takes away what a bias before it adds, so the gradient of that is rounding alone.
        before_norm = hasattr(network, "bn1") and name in ("conv1.bias", "conv2.bias", "fc1.bias")
        size = largest if before_norm else float(wanted[name].abs().max())
        away = float((parameter.grad - wanted[name]).abs().max())
        assert away <= rounding * size, f"{name}: {away / size:.2g} of its largest away"
