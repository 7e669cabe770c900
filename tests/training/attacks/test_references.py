"""Attacks against those of foolbox, with the same random starts. Skipped where foolbox is not installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cifar_lab.config.attack import Norm
from cifar_lab.training.attacks.deepfool import deepfool
from cifar_lab.training.attacks.descent import AttackBatch, Descent, project, random_start, single_steps
from cifar_lab.training.attacks.gradients import gradient
from cifar_lab.training.attacks.stacking import victims_of
from cifar_lab.training.attacks.victims import Victims

pytestmark = [
    pytest.mark.xdist_group("attacks"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # foolbox calls what others call deprecated
]

IMAGES = 250


def foolbox_robust(attack: Any, network: Any, batch: AttackBatch, eps: float) -> torch.Tensor:
    """Images that are correct under foolbox's attack."""
    foolbox = pytest.importorskip("foolbox")
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    _, _, found = attack(model, batch.images, batch.labels, epsilons=eps)
    return ~found


def clean_of(victims: Victims, batch: AttackBatch) -> torch.Tensor:
    return victims.predict(batch.images.expand(victims.members, *batch.images.shape)) == batch.labels


@pytest.mark.parametrize(("norm", "eps"), [("linf", 4 / 255), ("linf", 8 / 255), ("l2", 0.5)])
def test_pgd_is_that_of_foolbox(pair: Any, norm: Norm, eps: float) -> None:
    foolbox = pytest.importorskip("foolbox")
    eagerpy = pytest.importorskip("eagerpy")
    batch, networks = pair.batch(IMAGES), pair.networks()
    start = random_start(torch.Generator().manual_seed(0), batch.images.shape, norm)
    kind = foolbox.attacks.LinfPGD if norm == "linf" else foolbox.attacks.L2PGD
    attack = kind(steps=20, rel_stepsize=2.5 / 20, random_start=True)
    attack.get_random_start = lambda images, size: eagerpy.astensor(
        project((images.raw + size * start)[None], images.raw[None], size, norm)[0]
    )
    theirs = [foolbox_robust(attack, network, batch, eps) for network in networks]
    victims = victims_of(networks)
    wanted = clean_of(victims, batch)
    found = Descent(norm, 20, 2.5, ("cross_entropy",), 1).attack(victims, batch, wanted, eps, lambda _: start)
    for member, right in enumerate(theirs):
        assert int(((wanted & ~found.broken)[member] != right).sum()) <= 1


def test_fgsm_is_that_of_foolbox(pair: Any) -> None:
    foolbox = pytest.importorskip("foolbox")
    batch, networks = pair.batch(IMAGES), pair.networks()
    theirs = [foolbox_robust(foolbox.attacks.FGSM(), network, batch, 4 / 255) for network in networks]
    victims = victims_of(networks)
    wanted = clean_of(victims, batch)
    images = batch.images.expand(2, *batch.images.shape)
    slope, _ = gradient(victims, images, batch.labels.expand(2, -1), "cross_entropy")
    found = single_steps(victims, batch, wanted, slope, 4 / 255, "linf")
    for member, right in enumerate(theirs):
        assert int(((wanted & ~found.broken)[member] != right).sum()) <= 1


def test_deepfool_has_the_distances_of_foolbox(pair: Any) -> None:
    foolbox = pytest.importorskip("foolbox")
    batch, networks = pair.batch(IMAGES), pair.networks()
    means = []
    for network in networks:
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)
        images, _, _ = attack(model, batch.images, batch.labels, epsilons=None)
        right = network(batch.images).argmax(dim=1) == batch.labels
        means.append(float((images - batch.images).flatten(1).norm(dim=1)[right].mean()))
    victims = victims_of(networks)
    wanted = clean_of(victims, batch)
    distances, _ = deepfool(victims, batch, wanted, steps=50, overshoot=0.02, candidates=10)
    assert bool(torch.isfinite(distances).all())
    for member, mean in enumerate(means):
        assert float(distances[member, wanted[member]].mean()) == pytest.approx(mean, rel=0.03)
