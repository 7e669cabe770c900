"""Attacks within a distance: FGSM, projected gradient descent, random noise.

An image counts as misclassified as soon as one iterate of any restart is. It then leaves the batch, which does not
change what happens to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_lab.config.attack import Norm
from cifar_lab.training.attacks.active import ActiveImages, take
from cifar_lab.training.attacks.gradients import LossName, gradient, norms
from cifar_lab.training.attacks.victims import Victims

Start = Callable[[int], Tensor]
"""Perturbation (B, 3, H, W) of size at most 1 in the norm, by the number of the restart. Equal for all networks."""

TINY = 1e-12
"""Least norm that a gradient is divided by, as in foolbox."""


@dataclass(frozen=True)
class AttackBatch:
    """Images under attack."""

    images: Tensor
    """(B, 3, H, W), pixels from 0 to 1."""
    labels: Tensor
    """(B,)."""


@dataclass
class Flipped:
    """Outcome of an attack."""

    broken: Tensor
    """(K, B) bool: misclassified within the distance."""
    examples: dict[tuple[int, int], Tensor]
    """First adversarial image of each network, by the numbers of network and image."""


def step_up(images: Tensor, slope: Tensor, length: float, norm: Norm) -> Tensor:
    """Images after a step of this length along the gradient."""
    if norm == "linf":
        return images + length * slope.sign()
    return images + length * slope / norms(slope).clamp_min(TINY)


def project(images: Tensor, clean: Tensor, eps: float, norm: Norm) -> Tensor:
    """The nearest images within `eps` of the clean ones, with pixels from 0 to 1."""
    change = images - clean
    inside = change.clamp(-eps, eps) if norm == "linf" else change * (eps / norms(change).clamp_min(TINY)).clamp_max(1)
    return (clean + inside).clamp(0, 1)


def random_start(generator: torch.Generator, shape: torch.Size, norm: Norm) -> Tensor:
    """Perturbations (B, 3, H, W), uniform in the box or ball of size 1."""
    if norm == "linf":
        return torch.rand(shape, generator=generator) * 2 - 1
    direction = torch.randn(shape, generator=generator)
    radius = torch.rand((len(direction), 1, 1, 1), generator=generator) ** (1 / direction[0].numel())
    sizes: Tensor = torch.linalg.vector_norm(direction, dim=(1, 2, 3), keepdim=True)
    return direction / sizes * radius


@dataclass(frozen=True)
class Descent:
    """Projected gradient descent with its settings."""

    norm: Norm
    steps: int
    step_factor: float
    losses: tuple[LossName, ...]
    restarts: int

    def attack(self, victims: Victims, batch: AttackBatch, wanted: Tensor, eps: float, start: Start) -> Flipped:
        """Attack the images `wanted` (K, B) of each network. The others do not count as broken."""
        found = Flipped(torch.zeros_like(wanted), {})
        for name in self.losses:
            for restart in range(self.restarts):
                left = wanted & ~found.broken
                if not bool(left.any()):
                    return found
                self._restart(victims, batch, left, eps, start(restart), name, found)
        return found

    def _restart(
        self,
        victims: Victims,
        batch: AttackBatch,
        left: Tensor,
        eps: float,
        start: Tensor,
        name: LossName,
        found: Flipped,
    ) -> None:
        active = ActiveImages(left)
        clean, labels = active.gather(batch.images), active.gather(batch.labels)
        images = project(clean + eps * active.gather(start), clean, eps, self.norm)
        length = self.step_factor * eps / self.steps
        for step in range(self.steps + 1):
            if step < self.steps:
                slope, classes = gradient(victims, images, labels, name)
            else:
                classes = victims.predict(images)
            _note(found, active, images, classes != labels)
            if step == self.steps or not bool(active.used.any()):
                return
            if (kept := active.thinned()) is not None:
                images, clean, labels, slope = (take(each, kept) for each in (images, clean, labels, slope))
            images = project(step_up(images, slope, length, self.norm), clean, eps, self.norm)


def _note(found: Flipped, active: ActiveImages, images: Tensor, wrong: Tensor) -> None:
    """Note the rows that are misclassified, and keep their images."""
    hits = wrong & active.used
    if not bool(hits.any()):
        return
    for member, row in hits.nonzero().tolist():
        found.examples.setdefault((member, int(active.index[member, row])), images[member, row].detach().clone())
    found.broken |= active.finish(hits)


def random_noise(
    victims: Victims, batch: AttackBatch, wanted: Tensor, eps: float, start: Start, draws: int, norm: Norm
) -> Flipped:
    """Outcome of random perturbations, the worst of the draws."""
    found = Flipped(torch.zeros_like(wanted), {})
    for draw in range(draws):
        active = ActiveImages(wanted & ~found.broken)
        if not len(active):
            break
        clean = active.gather(batch.images)
        images = project(clean + eps * active.gather(start(draw)), clean, eps, norm)
        _note(found, active, images, victims.predict(images) != active.gather(batch.labels))
    return found


def single_steps(
    victims: Victims, batch: AttackBatch, wanted: Tensor, slope: Tensor, eps: float, norm: Norm
) -> Flipped:
    """FGSM: one step of the full distance along the gradient at the clean images, (K, B, 3, H, W)."""
    found = Flipped(torch.zeros_like(wanted), {})
    active = ActiveImages(wanted)
    if len(active):
        clean = active.gather(batch.images)
        images = project(step_up(clean, active.gather_own(slope), eps, norm), clean, eps, norm)
        _note(found, active, images, victims.predict(images) != active.gather(batch.labels))
    return found
