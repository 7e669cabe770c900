"""Attacks: stacked networks as separate ones, the distances kept, and the sanity checks of docs/robustness.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifar_lab.config.attack import PGD, Corruption, DeepFool, Noise, Norm, attack_from
from cifar_lab.training.attacks.active import ActiveImages
from cifar_lab.training.attacks.corruptions import SEVERITIES, corrupt
from cifar_lab.training.attacks.deepfool import deepfool
from cifar_lab.training.attacks.descent import AttackBatch, Descent, project, random_start, step_up
from cifar_lab.training.attacks.gradients import attack_loss, gradient, margin, norms
from cifar_lab.training.attacks.methods import attack_batch
from cifar_lab.training.attacks.selection import stratified_images
from cifar_lab.training.attacks.stacking import victims_of
from cifar_lab.training.attacks.victims import Victims

pytestmark = pytest.mark.xdist_group("attacks")

CPU = torch.device("cpu")


def clean_of(victims: Victims, batch: AttackBatch) -> Tensor:
    return victims.predict(batch.images.expand(victims.members, *batch.images.shape)) == batch.labels


def starts(batch: AttackBatch, norm: Norm) -> Any:
    return lambda restart: random_start(torch.Generator().manual_seed(restart), batch.images.shape, norm)


def robust(attack: PGD, victims: Victims, batch: AttackBatch) -> list[float]:
    """Accuracy at each distance, mean of the networks."""
    outcome = attack_batch(attack, victims, batch, 0)
    return [float(each.correct.double().mean()) for each in outcome.levels]


@pytest.mark.slow
def test_stacked_networks_are_attacked_as_separate_ones(pair: Any) -> None:
    batch = pair.batch()
    stacked = victims_of(pair.networks())
    assert stacked.stacked
    for attack in (
        PGD(steps=5, restarts=2, loss="both"),
        attack_from({"name": "deepfool"}),
        attack_from({"name": "corruption"}),
    ):
        together = attack_batch(attack, stacked, batch, 0)
        for member, network in enumerate(pair.networks()):
            alone = attack_batch(attack, victims_of([network]), batch, 0)
            for ours, theirs in zip(together.levels, alone.levels, strict=True):
                assert int((ours.correct[member] != theirs.correct[0]).sum()) <= 1
            if together.distances is not None:
                assert torch.allclose(together.distances[member], alone.distances[0], rtol=1e-3)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_iterates_stay_within_the_distance_and_the_pixel_range(pair: Any, norm: Norm) -> None:
    batch, victims = pair.batch(40), victims_of(pair.networks()[:1])
    eps = 8 / 255 if norm == "linf" else 0.5
    wanted = clean_of(victims, batch)
    found = Descent(norm, 7, 2.5, ("cross_entropy",), 2).attack(victims, batch, wanted, eps, starts(batch, norm))
    assert found.examples
    for (_, number), image in found.examples.items():
        change = (image - batch.images[number]).flatten()
        size = change.abs().max() if norm == "linf" else change.norm()
        assert size <= eps * (1 + 1e-5)
        assert 0 <= image.min() <= image.max() <= 1
        assert victims.predict(image.expand(1, 1, -1, -1, -1)).item() != batch.labels[number]


def test_an_image_that_is_wrong_when_clean_is_not_robust_and_not_attacked(pair: Any) -> None:
    victims, batch = victims_of(pair.networks()), pair.batch()
    wrong = ~clean_of(victims, batch)
    assert bool(wrong.any())
    outcome = attack_batch(PGD(steps=1, eps=(0.0, 1e-9)), victims, batch, 0)
    for each in outcome.levels:
        assert not bool((each.correct & wrong).any())
        assert bool((each.correct == ~wrong).all())


def test_accuracy_falls_with_the_distance_and_reaches_zero(pair: Any) -> None:
    eps = (0.0, 1 / 255, 4 / 255, 8 / 255, 16 / 255, 64 / 255)
    curve = robust(PGD(eps=eps, steps=10), victims_of(pair.networks()), pair.batch())
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] == 0
    assert curve[0] > 0.5


def test_many_steps_find_no_less_than_one(pair: Any) -> None:
    outcome = attack_batch(PGD(steps=20), victims_of(pair.networks()), pair.batch(), 0)
    for each in outcome.levels:
        assert each.single is not None
        assert int(each.correct.sum()) <= int(each.single.sum()) + 1


@pytest.mark.slow
def test_more_steps_and_restarts_reach_a_plateau(pair: Any) -> None:
    batch = pair.batch()
    eps = (4 / 255, 8 / 255)
    usual = robust(PGD(eps=eps), victims_of(pair.networks()), batch)
    more = robust(PGD(eps=eps, steps=60, restarts=3, loss="both"), victims_of(pair.networks()), batch)
    assert all(0 <= a - b <= 0.015 for a, b in zip(usual, more, strict=True))


def test_noise_of_the_same_size_is_the_harmless_end(pair: Any) -> None:
    victims, batch = victims_of(pair.networks()), pair.batch()
    eps = (8 / 255,)
    noise = attack_batch(Noise(name="noise", eps=eps), victims, batch, 0).levels[0].correct
    (attacked,) = robust(PGD(eps=eps), victims, batch)
    assert float(noise.double().mean()) > attacked


def test_deepfool_flips_every_image_and_its_distances_are_those_of_the_images(pair: Any) -> None:
    victims, batch = victims_of(pair.networks()), pair.batch()
    clean = clean_of(victims, batch)
    distances, examples = deepfool(victims, batch, clean, steps=50, overshoot=0.02, candidates=10)
    assert bool(torch.isfinite(distances).all())
    assert bool((distances[~clean] == 0).all())
    for (member, number), image in examples.items():
        assert float(distances[member, number]) == pytest.approx(float((image - batch.images[number]).norm()), rel=1e-5)
    # An L2 attack of the distance that DeepFool needs, and half as much, finds nearly all of them.
    far = float(distances[0, clean[0]].max())
    (left,) = robust(PGD(norm="l2", eps=(1.5 * far,), steps=40), victims_of(pair.networks()[:1]), batch)
    assert left == 0


def test_deepfool_shows_the_images_that_it_does_not_flip() -> None:
    constant = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    nn.init.zeros_(constant[1].weight)
    victims = Victims(lambda images: constant(images[0]).unsqueeze(0), 1, CPU)
    batch = AttackBatch(torch.rand(3, 3, 8, 8), victims.predict(torch.rand(1, 3, 3, 8, 8))[0])
    outcome = attack_batch(DeepFool(name="deepfool", steps=4), victims, batch, 0)
    assert outcome.distances is not None
    assert bool(torch.isinf(outcome.distances).all())


def test_the_same_seed_gives_the_same_outcome_and_another_one_other_starts(pair: Any) -> None:
    batch = pair.batch(60)
    first, second = (attack_batch(PGD(steps=3), victims_of(pair.networks()), batch, 0) for _ in range(2))
    for one, two in zip(first.levels, second.levels, strict=True):
        assert torch.equal(one.correct, two.correct)
    shape = torch.Size((2, 3, 4, 4))
    a, b = (random_start(torch.Generator().manual_seed(seed), shape, "l2") for seed in (0, 1))
    assert not torch.equal(a, b)


def test_random_starts_fill_the_box_and_the_ball() -> None:
    shape = torch.Size((400, 3, 4, 4))
    box = random_start(torch.Generator().manual_seed(0), shape, "linf")
    ball = random_start(torch.Generator().manual_seed(0), shape, "l2").flatten(1).norm(dim=1)
    assert -1 <= box.min() < -0.99
    assert 0.99 < box.max() <= 1
    assert float(ball.max()) <= 1 + 1e-6
    assert float((ball**48).mean()) == pytest.approx(0.5, abs=0.05)  # uniform in the volume of 48 dimensions


def test_projection_returns_the_nearest_image_within_the_distance() -> None:
    clean = torch.full((1, 1, 3, 2, 2), 0.5)
    assert torch.equal(project(clean + 0.3, clean, 0.1, "linf"), clean + 0.1)
    far = project(clean + 0.3, clean, 0.1, "l2")
    assert float((far - clean).norm()) == pytest.approx(0.1, rel=1e-5)
    near = clean + 0.001
    assert torch.allclose(project(near, clean, 0.1, "l2"), near)
    assert torch.equal(step_up(clean, torch.zeros_like(clean), 0.1, "l2"), clean)


def test_the_margin_is_positive_where_an_image_is_misclassified() -> None:
    logits = torch.tensor([[[1.0, 3.0, 2.0], [5.0, 1.0, 0.0]]])
    labels = torch.tensor([[0, 0]])
    assert margin(logits, labels).tolist() == [[2.0, -4.0]]
    assert torch.equal(attack_loss(logits, labels, "margin"), margin(logits, labels))


def test_gradients_are_those_of_each_image_alone(pair: Any) -> None:
    victims, batch = victims_of(pair.networks()), pair.batch(6)
    images = batch.images.expand(2, -1, -1, -1, -1)
    slope, _ = gradient(victims, images, batch.labels.expand(2, -1), "cross_entropy")
    for member, network in enumerate(pair.networks()):
        one = batch.images[3:4].clone().requires_grad_()
        torch.nn.functional.cross_entropy(network(one), batch.labels[3:4]).backward()
        assert one.grad is not None
        assert torch.allclose(slope[member, 3], one.grad[0], rtol=1e-3, atol=1e-7)
    assert norms(slope).shape == (2, 6, 1, 1, 1)


def test_active_images_leave_one_by_one() -> None:
    wanted = torch.tensor([[True, False, True, True], [False, False, True, False]])
    active = ActiveImages(wanted)
    assert len(active) == 3
    assert active.index[0].tolist() == [0, 2, 3]
    assert active.used.tolist() == [[True] * 3, [True, False, False]]
    done = active.finish(torch.tensor([[False, True, False], [True, True, True]]))
    assert done.tolist() == [[False, False, True, False], [False, False, True, False]]
    kept = active.thinned()
    assert kept is not None
    assert active.index[0].tolist() == [0, 3]
    assert active.used.tolist() == [[True, True], [False, False]]


def test_chosen_images_have_the_same_share_of_each_class() -> None:
    labels = np.repeat(np.arange(10), 100)
    np.random.default_rng(0).shuffle(labels)
    chosen = stratified_images(labels, 200, 0)
    assert np.bincount(labels[chosen]).tolist() == [20] * 10
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert set(stratified_images(labels, 50, 0)) <= set(chosen)
    assert stratified_images(labels, 200, 1).tolist() != chosen.tolist()
    for every in ("all", 1000, 5000):
        assert stratified_images(labels, every, 0).tolist() == list(range(1000))


def test_corruptions_grow_with_their_severity_and_keep_the_pixel_range() -> None:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    for kind in Corruption(name="corruption").kinds:
        sizes = [
            float((corrupt(images, kind, severity, noise) - images).norm()) for severity in range(1, SEVERITIES + 1)
        ]
        assert sizes == sorted(sizes), kind
        assert sizes[0] > 0
        worst = corrupt(images, kind, SEVERITIES, noise)
        assert 0 <= worst.min() <= worst.max() <= 1


def test_one_of_several_victims_is_computed_alone(pair: Any) -> None:
    """AutoAttack asks thousands of times for one network, and the others must not be computed beside it."""
    networks = pair.networks()
    together = victims_of(networks)
    images = pair.batch(20).images
    expected = together.logits(images.expand(2, *images.shape))
    calls = []
    networks[0].network.register_forward_hook(lambda *_: calls.append(0))
    alone = together.alone(1).logits(images.unsqueeze(0))
    assert alone.shape == (1, 20, 10)
    torch.testing.assert_close(alone[0], expected[1], rtol=1e-4, atol=1e-4)
    assert not calls


def test_autoattack_is_not_above_pgd(pair: Any) -> None:
    pytest.importorskip("pyautoattack")
    victims, batch = victims_of(pair.networks()[:1]), pair.batch(60)
    eps = (6 / 255,)
    (usual,) = robust(PGD(eps=eps, steps=40, restarts=2), victims, batch)
    outcome = attack_batch(attack_from({"name": "autoattack", "eps": eps}), victims, batch, 0)
    assert float(outcome.levels[0].correct.double().mean()) <= usual + 0.002
