"""Steps on mixed images against a plain loop with soft labels, in every form of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab import models
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.training.backends.base import StepBackend
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.kernels.backend import KernelBackend
from cifar_lab.training.backends.plain import PlainBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution

from .step_runs import drawn

IMAGES, BATCH, LR = 53, 8, 0.002
MIXES = {
    "mixup": {"mixup": 0.7},
    "cutmix": {"cutmix": 1.0},
    "both": {"mixup": 1.0, "cutmix": 1.0, "flip": True},
    "mixup and noise": {"mixup": 1.0, "noise_std": 0.1},
}


def settings(mix: str, optimizer: str = "sgd") -> Settings:
    return settings_from({
        "data": {"dataset": "synthetic", "batch_size": BATCH, **MIXES[mix]}, "loss": {"label_smoothing": 0.1},
        "optimizer": {"name": optimizer, "lr": LR}, "epochs": 2, "runtime": {"device": "cpu"},
    })  # fmt: skip


def split() -> ResidentSplit:
    pixels, labels = drawn(IMAGES)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


def reference(arm: Settings, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(losses of all steps, correct images of all steps, weights) of a loop of torch with soft labels."""
    with seeded_init(seed):
        network = models.build(arm.model, 10)
    optimizer = torch.optim.SGD(network.parameters(), LR, momentum=0.9)
    batches, losses, right = CohortBatches(split(), arm.data, [seed]), [], []
    for epoch in range(arm.epochs):
        mix = batches.mix(epoch)
        assert mix is not None
        for ((images,), (labels,)), share in zip(batches.epoch(epoch), mix.share[:, 0], strict=True):
            own, other = (F.one_hot(each, 10).float() for each in (labels, labels.roll(1)))
            target = share * own + (1 - share) * other
            optimizer.zero_grad()
            logits = network(images)
            loss = F.cross_entropy(logits, target, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            larger = labels if share >= 0.5 else labels.roll(1)
            right.append((logits.argmax(1) == larger).sum())
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    return torch.stack(losses), torch.stack(right), weights


def eager(arm: Settings, seeds: list[int], *, stacked: bool = False, own: bool = False) -> EagerBackend:
    execution = replace(prepare_execution(arm.runtime, threads=1), own_kernels=own)
    batches = CohortBatches(split(), arm.data, seeds)
    arms = [arm] * len(seeds)
    cohort, _ = build_cohort(arms, seeds, 10, batches.steps_per_epoch, execution, stacked=stacked)
    return EagerBackend(cohort, batches, 0.1, execution, stochastic_forward=False)


def plain(arm: Settings, seeds: list[int]) -> PlainBackend:
    steps = eager(arm, seeds)
    return PlainBackend(steps.cohort, steps.batches, 0.1, steps.execution)


FORMS: dict[str, tuple[str, list[int], Callable[[Settings, list[int]], StepBackend]]] = {
    "alone": ("sgd", [1], eager),
    "stacked": ("sgd", [0, 1, 2], lambda arm, seeds: eager(arm, seeds, stacked=True)),
    "one after the other": ("sgd", [0, 1], eager),
    "torch's own optimizer": ("torch.optim:SGD", [1], plain),
    "own kernels": ("sgd", [1], lambda arm, seeds: KernelBackend(eager(arm, seeds, own=True))),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("form", FORMS)
def test_each_step_is_that_of_soft_labels(mix: str, form: str) -> None:
    optimizer, seeds, make = FORMS[form]
    arm = settings(mix)
    if optimizer != "sgd":
        section = {"name": optimizer, "lr": LR, "options": {"momentum": 0.9}}
        arm = settings_from({**arm.model_dump(mode="json", exclude={"optimizer", "seeds"}), "optimizer": section})
    steps = make(arm, seeds)
    member, losses, right = seeds.index(1), [], []
    for epoch in range(arm.epochs):
        steps.cohort.train_mode()
        for _ in steps.epoch(epoch):
            pass
        losses.append(steps.metrics.loss[:, member])
        right.append(steps.metrics.right[:, member])
    expected_losses, expected_right, weights = reference(arm, 1)
    torch.testing.assert_close(torch.cat(losses), expected_losses, rtol=1e-4, atol=1e-5)
    assert torch.equal(torch.cat(right), expected_right)
    ours = torch.cat([parameter.detach().flatten() for parameter in steps.cohort.networks[member].parameters()])
    torch.testing.assert_close(ours, weights, rtol=1e-3, atol=1e-5)
