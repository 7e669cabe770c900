"""AutoAttack of pyautoattack on networks with few classes, whose defaults are those of ten."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cifar_lab.config.attack import attack_from
from cifar_lab.core.errors import SettingsError
from cifar_lab.training.attacks.descent import AttackBatch
from cifar_lab.training.attacks.methods import attack_batch
from cifar_lab.training.attacks.victims import Forward, Victims

pytest.importorskip("pyautoattack")

SIZE = 6
"""Pixels of a side."""


def linear(classes: int, members: int = 1) -> Victims:
    """Linear networks, whose nearest boundary is known."""
    weights = torch.randn(members, classes, 3 * SIZE * SIZE, generator=torch.Generator().manual_seed(classes))
    each = [forward_of(member.unsqueeze(0)) for member in weights]
    return Victims(forward_of(weights), members, torch.device("cpu"), each=each)


def forward_of(weights: Tensor) -> Forward:
    """Linear networks with weights (K, classes, pixels)."""
    return lambda images: images.flatten(2) @ weights.transpose(1, 2)


def batch_of(victims: Victims, count: int = 4) -> AttackBatch:
    """Images that the first network classifies correctly."""
    images = torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return AttackBatch(images, victims.predict(images.expand(victims.members, *images.shape))[0])


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Target classes of APGD-T and FAB-T, without the attack itself."""
    import pyautoattack

    seen: list[tuple[int, int]] = []

    def evaluate(self: pyautoattack.AutoAttack, images: Tensor, labels: Tensor, **_: int) -> tuple[Tensor, Tensor]:
        seen.append((self.apgd_targeted.n_target_classes, self.fab.n_target_classes))
        return images, labels

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", evaluate)
    return seen


@pytest.mark.parametrize(("classes", "wanted"), [(4, 3), (5, 4), (10, 9), (12, 9)])
def test_targets_are_the_other_classes_and_at_most_nine(
    targets: list[tuple[int, int]], classes: int, wanted: int
) -> None:
    victims = linear(classes, members=2)
    attack_batch(attack_from({"name": "autoattack", "eps": [0.1]}), victims, batch_of(victims), 0)
    assert set(targets) == {(wanted, wanted)}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_five_classes_are_attacked_up_to_the_boundary(norm: str) -> None:
    victims = linear(5)
    batch = batch_of(victims, 2)
    images = batch.images.expand(1, *batch.images.shape)
    logits = victims.logits(images)[0]
    order = logits.topk(2).values
    weights = torch.autograd.functional.jacobian(victims.logits, images[:, :1])[0, 0].flatten(1)
    first, second = logits.topk(2).indices.T
    gap = weights[first] - weights[second]
    size = gap.abs().sum(dim=1) if norm == "linf" else gap.norm(dim=1)
    nearest = float(((order[:, 0] - order[:, 1]) / size).max())
    far, near = 3 * nearest + 0.02, 1e-6
    found = attack_batch(attack_from({"name": "autoattack", "eps": [near, far], "norm": norm}), victims, batch, 0)
    assert [int(level.correct.sum()) for level in found.levels] == [2, 0]


@pytest.mark.parametrize("classes", [2, 3])
def test_fewer_than_four_classes_are_refused_with_another_attack(classes: int) -> None:
    victims = linear(classes)
    with pytest.raises(SettingsError, match=rf"needs 4 classes, and these networks have {classes}; use pgd"):
        attack_batch(attack_from({"name": "autoattack", "eps": [0.1]}), victims, batch_of(victims), 0)
