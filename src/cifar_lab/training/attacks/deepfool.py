"""DeepFool in the L2 norm (arXiv:1511.04599), in the form of foolbox: steps to the nearest boundary of a linear model.

Each step crosses the boundary of the candidate class that is nearest at the image so far. Steps are added up with the
overshoot, and the pixels stay between 0 and 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cifar_lab.training.attacks.active import ActiveImages, take
from cifar_lab.training.attacks.descent import AttackBatch
from cifar_lab.training.attacks.victims import Victims

SMALL = 1e-8
"""Added to the norm of a gradient, as in foolbox."""

BEYOND = 1e-4
"""Added to each step, so that steps do not become too small to cross the boundary, as in foolbox."""


def deepfool(
    victims: Victims, batch: AttackBatch, wanted: Tensor, *, steps: int, overshoot: float, candidates: int
) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
    """(L2 distance of each image (K, B), adversarial images by the numbers of network and image).

    The distance is 0 for an image that is not wanted and infinite for one that was not flipped.
    """
    distances = torch.zeros(wanted.shape, dtype=torch.float64, device=victims.device)
    distances[wanted] = torch.inf
    examples: dict[tuple[int, int], Tensor] = {}
    active = ActiveImages(wanted)
    if not len(active):
        return distances, examples
    clean, labels = active.gather(batch.images), active.gather(batch.labels)
    images, total = clean, torch.zeros_like(clean)
    order: Tensor | None = None
    for step in range(steps + 1):
        if step == steps:
            wrong = victims.predict(images) != labels
            _note(distances, examples, active, images, clean, wrong)
            break
        with torch.enable_grad():
            at = images.detach().requires_grad_()
            logits = victims.logits(at)
        wrong = logits.detach().argmax(dim=-1) != labels
        _note(distances, examples, active, images, clean, wrong)
        if not bool(active.used.any()):
            break
        if order is None:  # candidates by the logits of the clean image, its own class first
            order = logits.detach().argsort(dim=-1, descending=True)[..., :candidates]
        change = _nearest(at, logits, order)
        if (kept := active.thinned()) is not None:
            images, clean, labels, total, change, order = (
                take(each, kept) for each in (images, clean, labels, total, change, order)
            )
        total = total + (1 + overshoot) * change
        images = (clean + total).clamp(0, 1)
    return distances, examples


def _nearest(at: Tensor, logits: Tensor, order: Tensor) -> Tensor:
    """Step of each image to the boundary of the nearest candidate, (K, M, 3, H, W)."""
    ordered = logits.gather(-1, order)  # (K, M, candidates), the own class first
    gaps = ordered[..., 1:] - ordered[..., :1]
    best, step = torch.full(gaps.shape[:2], torch.inf, device=at.device), torch.zeros_like(at)
    count = gaps.shape[-1]
    for index in range(count):
        (slope,) = torch.autograd.grad(gaps[..., index].sum(), at, retain_graph=index < count - 1)
        size = slope.flatten(2).norm(dim=2)
        distance = gaps[..., index].detach().abs() / (size + SMALL)
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        length = ((distance + BEYOND) / (size + SMALL))[..., None, None, None]
        step = torch.where(nearer[..., None, None, None], length * slope, step)
    return step


def _note(
    distances: Tensor,
    examples: dict[tuple[int, int], Tensor],
    active: ActiveImages,
    images: Tensor,
    clean: Tensor,
    wrong: Tensor,
) -> None:
    """Note the distance of the rows that are misclassified."""
    hits = wrong & active.used
    if not bool(hits.any()):
        return
    sizes = (images - clean).double().flatten(2).norm(dim=2)
    member, row = hits.nonzero(as_tuple=True)
    distances[member, active.index[member, row]] = sizes[member, row]
    for network, place in hits.nonzero().tolist():
        image = int(active.index[network, place])
        examples.setdefault((network, image), images[network, place].detach().clone())
    active.finish(hits)
