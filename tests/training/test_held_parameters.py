"""Parameters that are held after some epochs, against a loop that switches their gradients off."""

from __future__ import annotations

from typing import Any

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
from cifar_lab.models.initialisation import initialise, plain_covariance
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.plain import PlainBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution
from cifar_lab.training.loop import train_epoch

from .step_runs import drawn

LR = 0.01
MODEL = {"name": "CifarNet", "widths": [8, 8, 8], "whiten_bias_epochs": 1}


class NoCallback:
    """Callback that ignores every step and epoch."""

    def step(self, *_: Any) -> None: ...

    def epoch(self, members: Any) -> None: ...


def settings(optimizer: dict[str, Any]) -> Settings:
    return settings_from({
        "data": {"dataset": "synthetic", "batch_size": 8}, "model": MODEL, "optimizer": optimizer, "epochs": 3,
        "runtime": {"device": "cpu"},
    })  # fmt: skip


def split() -> ResidentSplit:
    pixels, labels = drawn(30)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


def reference(arm: Settings, seed: int) -> list[Tensor]:
    """Bias after each epoch, and all trained weights at the end."""
    with seeded_init(seed):
        network = models.build(arm.model, 10)
        initialise(network, arm.model, plain_covariance)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], LR, 0.9, weight_decay=0.1)
    found = []
    for epoch in range(arm.epochs):
        network.whiten.bias.requires_grad_(epoch < 1)
        for (images,), (labels,) in CohortBatches(split(), arm.data, [seed]).epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
        found.append(network.whiten.bias.detach().clone())
    return [*found, torch.cat([p.detach().flatten() for p in network.parameters()])]


OWN = {"name": "sgd", "lr": LR, "momentum": 0.9, "weight_decay": 0.1}
TORCH = {"name": "torch.optim:SGD", "lr": LR, "weight_decay": 0.1, "options": {"momentum": 0.9}}


@pytest.mark.parametrize(
    ("optimizer", "seeds", "kind"),
    [(OWN, [2], EagerBackend), (OWN, [0, 2], EagerBackend), (TORCH, [2], PlainBackend)],
    ids=["alone", "stacked", "torch's own optimizer"],
)
def test_a_held_parameter_is_one_without_gradient(
    optimizer: dict[str, Any], seeds: list[int], kind: type[EagerBackend]
) -> None:
    arm = settings(optimizer)
    execution = prepare_execution(arm.runtime, threads=1)
    batches = CohortBatches(split(), arm.data, seeds)
    cohort, reason = build_cohort(
        [arm] * len(seeds), seeds, 10, batches.steps_per_epoch, execution, stacked=len(seeds) > 1,
        covariance=plain_covariance,
    )  # fmt: skip
    assert reason is None
    steps, network = kind(cohort, batches, 0.0, execution), cohort.networks[seeds.index(2)]
    *biases, weights = reference(settings(OWN), 2)
    ours = []
    for epoch, expected in enumerate(biases):
        train_epoch(steps, epoch, NoCallback())
        ours.append(network.whiten.bias.detach().clone())
        torch.testing.assert_close(ours[-1], expected, rtol=1e-3, atol=1e-5)
    assert torch.equal(ours[1], ours[0])
    assert torch.equal(ours[2], ours[0])
    trained = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    torch.testing.assert_close(trained, weights, rtol=1e-2, atol=1e-3)
