"""One batch of images under each attack of `config.attack`: outcomes per level, and facts of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cifar_lab.config.attack import FGSM, PGD, AnyAttack, AutoAttack, Corruption, DeepFool, EpsOptions, Noise, Norm
from cifar_lab.data.random_streams import stream
from cifar_lab.training.attacks.auto import auto_attack
from cifar_lab.training.attacks.corruptions import SEVERITIES, corrupt
from cifar_lab.training.attacks.deepfool import deepfool
from cifar_lab.training.attacks.descent import (
    AttackBatch,
    Descent,
    Flipped,
    random_noise,
    random_start,
    single_steps,
)
from cifar_lab.training.attacks.gradients import LossName, gradient, zero_gradients
from cifar_lab.training.attacks.victims import Victims

LIMIT: dict[Norm, float] = {"linf": 1.0, "l2": 1e3}
"""Distance that allows every image. An attack that leaves an image there does not follow its gradients."""


@dataclass
class LevelOutcome:
    """Outcome of a batch at one level."""

    level: float
    kind: str
    correct: Tensor
    """(K, B) bool."""
    single: Tensor | None = None
    """(K, B) bool: correct after one step of the full distance."""


@dataclass
class BatchOutcome:
    """Outcome of a batch."""

    clean: Tensor
    """(K, B) bool: correct without an attack."""
    levels: list[LevelOutcome] = field(default_factory=list)
    distances: Tensor | None = None
    """(K, B): DeepFool."""
    with_gradient: Tensor | None = None
    """(K,): images whose gradient was computed."""
    zero: Tensor | None = None
    """(K,): images whose gradient is 0 everywhere."""
    unbounded: Tensor | None = None
    """(K,): images that are correct within the distance that allows every image."""
    examples: dict[tuple[int, int], tuple[Tensor, float, str]] = field(default_factory=dict)
    """Attacked image with its level and kind, by the numbers of network and image: one per class of each network, at
    the last level."""
    predicted: dict[tuple[int, int], int] = field(default_factory=dict)
    """Class of each example."""


def attack_batch(attack: AnyAttack, victims: Victims, batch: AttackBatch, number: int) -> BatchOutcome:
    """Attack a batch of images.

    Args:
        number: of the batch, which its random numbers depend on.
    """
    everywhere = batch.images.expand(victims.members, *batch.images.shape)
    clean = victims.predict(everywhere) == batch.labels
    outcome = BatchOutcome(clean)
    if isinstance(attack, DeepFool):
        _run_deepfool(attack, victims, batch, outcome)
    elif isinstance(attack, Corruption):
        _run_corruptions(attack, victims, batch, number, outcome)
    else:
        _run_distances(attack, victims, batch, number, outcome)
    _choose_examples(outcome, victims, batch)
    return outcome


def _choose_examples(outcome: BatchOutcome, victims: Victims, batch: AttackBatch) -> None:
    """Keep one example per class of each network, and predict it."""
    labels = batch.labels.tolist()
    first: dict[tuple[int, int], int] = {}
    for member, number in sorted(outcome.examples):
        first.setdefault((member, labels[number]), number)
    kept = [(member, number) for (member, _), number in first.items()]
    outcome.examples = {each: outcome.examples[each] for each in kept}
    if not kept:
        return
    of_member = [[number for at, number in kept if at == member] for member in range(victims.members)]
    images = batch.images[:1].expand(victims.members, max(map(len, of_member)), *batch.images.shape[1:]).clone()
    for member, numbers in enumerate(of_member):
        for place, number in enumerate(numbers):
            images[member, place] = outcome.examples[member, number][0]
    classes = victims.predict(images).tolist()
    outcome.predicted = {
        (member, number): classes[member][place]
        for member, numbers in enumerate(of_member)
        for place, number in enumerate(numbers)
    }


def _starts(attack: EpsOptions, batch: AttackBatch, number: int) -> Callable[[int], Tensor]:
    """Random perturbations of a batch by restart. The same for every network, distance and device."""

    def start(restart: int) -> Tensor:
        generator = stream(f"attack start {restart}", attack.seed, number)
        return random_start(generator, batch.images.shape, attack.norm).to(batch.images)

    return start


def _run_distances(
    attack: EpsOptions, victims: Victims, batch: AttackBatch, number: int, outcome: BatchOutcome
) -> None:
    start = _starts(attack, batch, number)
    slope = _gradients(attack, victims, batch, outcome) if isinstance(attack, FGSM | PGD) else None
    for eps in attack.distances:
        single = None if slope is None else single_steps(victims, batch, outcome.clean, slope, eps, attack.norm)
        found = single if isinstance(attack, FGSM) else _at(attack, victims, batch, outcome.clean, eps, start)
        assert found is not None
        level = LevelOutcome(eps, "", outcome.clean & ~found.broken)
        if isinstance(attack, PGD) and single is not None:
            level.single = outcome.clean & ~single.broken
        outcome.levels.append(level)
        outcome.examples = {each: (image, eps, "") for each, image in found.examples.items()}
    if isinstance(attack, PGD):
        far = _at(attack, victims, batch, outcome.clean, LIMIT[attack.norm], start)
        outcome.unbounded = (outcome.clean & ~far.broken).sum(dim=1)


def _at(
    attack: EpsOptions, victims: Victims, batch: AttackBatch, wanted: Tensor, eps: float, start: Callable[[int], Tensor]
) -> Flipped:
    """Outcome of one distance."""
    if eps == 0:
        return Flipped(torch.zeros_like(wanted), {})
    if isinstance(attack, PGD):
        losses: tuple[LossName, ...] = ("cross_entropy", "margin") if attack.loss == "both" else (attack.loss,)
        descent = Descent(attack.norm, attack.steps, attack.step_factor, losses, attack.restarts)
        return descent.attack(victims, batch, wanted, eps, start)
    if isinstance(attack, AutoAttack):
        return auto_attack(victims, batch, wanted, eps, attack.norm, attack.seed)
    assert isinstance(attack, Noise)
    return random_noise(victims, batch, wanted, eps, start, attack.draws, attack.norm)


def _gradients(attack: FGSM | PGD, victims: Victims, batch: AttackBatch, outcome: BatchOutcome) -> Tensor:
    """Gradient (K, B, 3, H, W) at the clean images, and the facts of it."""
    members = victims.members
    images = batch.images.expand(members, *batch.images.shape)
    name: LossName = "margin" if attack.loss == "margin" else "cross_entropy"
    slope, _ = gradient(victims, images, batch.labels.expand(members, -1), name)
    outcome.with_gradient = outcome.clean.sum(dim=1)
    outcome.zero = (zero_gradients(slope) & outcome.clean).sum(dim=1)
    return slope


def _run_deepfool(attack: DeepFool, victims: Victims, batch: AttackBatch, outcome: BatchOutcome) -> None:
    distances, examples = deepfool(
        victims, batch, outcome.clean, steps=attack.steps, overshoot=attack.overshoot, candidates=attack.candidates
    )
    outcome.distances = distances
    outcome.examples = {each: (image, float(distances[each]), "") for each, image in examples.items()}


def _run_corruptions(
    attack: Corruption, victims: Victims, batch: AttackBatch, number: int, outcome: BatchOutcome
) -> None:
    noise = torch.randn(batch.images.shape, generator=stream("attack corruption", attack.seed, number))
    noise = noise.to(batch.images)
    for place, kind in enumerate(attack.kinds):
        for severity in range(1, SEVERITIES + 1):
            images = corrupt(batch.images, kind, severity, noise)
            right = victims.predict(images.expand(victims.members, *images.shape)) == batch.labels
            outcome.levels.append(LevelOutcome(float(severity), kind, outcome.clean & right))
        for member, number in (outcome.clean & ~right).nonzero().tolist():
            if int(batch.labels[number]) % len(attack.kinds) == place:  # each class shows one kind
                outcome.examples[member, number] = (images[number], float(SEVERITIES), kind)
