"""Networks whose gradients are masked on purpose, which the numbers of an attack name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.analysis.robust_scores import masking_signs
from cifar_lab.config.attack import PGD
from cifar_lab.store.attack_records import AttackLevel, AttackRecord, GradientFacts
from cifar_lab.training.attacks.methods import attack_batch
from cifar_lab.training.attacks.stacking import victims_of
from cifar_lab.training.attacks.victims import Victims

pytestmark = pytest.mark.xdist_group("attacks")


class Loud(nn.Module):
    """Logits so large that the cross-entropy is 0 in float32, and so is its gradient."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits * 1e4


class Rounded(nn.Module):
    """Pixels of 16 values. A rounded number has no gradient."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images * 15).round() / 15)
        return logits


class Bumpy(nn.Module):
    """A fine ripple on the pixels, so that the gradient at a point tells nothing of its surroundings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images + 0.004 * torch.sin(images * 2e3)).clamp(0, 1))
        return logits


def record_of(attack: PGD, victims: Victims, batch: Any) -> AttackRecord:
    outcome = attack_batch(attack, victims, batch, 0)

    def text(right: Tensor) -> str:
        return "".join("01"[each] for each in right[0].int().tolist())

    assert outcome.with_gradient is not None
    assert outcome.zero is not None
    assert outcome.unbounded is not None
    return AttackRecord(
        attack_id="0" * 12, run_id="run", attack=attack.model_dump(mode="json"), seed=0, weights_sha256="0" * 64,
        fingerprint="f", images=tuple(range(len(batch.labels))), clean=text(outcome.clean),
        levels=tuple(
            AttackLevel(level=each.level, correct=text(each.correct), single_step=text(each.single))
            for each in outcome.levels
            if each.single is not None
        ),
        gradients=GradientFacts(
            images=int(outcome.with_gradient[0]), zero=int(outcome.zero[0]), unbounded=int(outcome.unbounded[0])
        ),
    )  # fmt: skip


@pytest.mark.parametrize("mask", [Loud, Rounded, Bumpy])
def test_masked_gradients_are_named(pair: Any, mask: type[nn.Module]) -> None:
    (network, _) = pair.networks()
    masked = mask(network).eval().requires_grad_(False)
    victims = Victims(lambda images: masked(images[0]).unsqueeze(0), 1, torch.device("cpu"))
    signs = masking_signs([record_of(PGD(), victims, pair.batch())])
    assert signs, mask.__name__


@pytest.mark.slow
def test_gradients_of_an_ordinary_network_are_not_called_masked(pair: Any) -> None:
    for network in pair.networks():
        assert masking_signs([record_of(PGD(), victims_of([network]), pair.batch())]) == []
