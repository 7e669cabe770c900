"""AutoAttack by the package pyautoattack, an extra: one network at a time."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from cifar_lab.config.attack import Norm
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.extras import missing_extra
from cifar_lab.training.attacks.descent import AttackBatch, Flipped
from cifar_lab.training.attacks.victims import Victims

NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}

FEWEST_CLASSES = 4
"""Its loss of logit ratios needs the third largest of the other logits."""

TARGETS = 9
"""Target classes of its targeted attacks, with ten classes or more."""


class _OneNetwork(nn.Module):
    """A single network, as pyautoattack calls it."""

    def __init__(self, victims: Victims) -> None:
        super().__init__()
        self._victims = victims

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to logits (B, classes)."""
        return self._victims.logits(images.unsqueeze(0))[0]


def auto_attack(victims: Victims, batch: AttackBatch, wanted: Tensor, eps: float, norm: Norm, seed: int) -> Flipped:
    """Attack the images `wanted` (K, B) of each network with the standard version.

    Raises:
        MissingExtraError: pyautoattack is not installed.
        SettingsError: fewer than four classes.
    """
    try:
        from pyautoattack import AutoAttack  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise missing_extra("attacks", "name: autoattack") from error
    found = Flipped(torch.zeros_like(wanted), {})
    for member in range(victims.members):
        chosen = wanted[member].nonzero().flatten()
        if not len(chosen):
            continue
        images, labels = batch.images[chosen], batch.labels[chosen]
        network = _OneNetwork(victims.alone(member))
        with torch.no_grad():
            classes = network(images[:1]).shape[-1]
        if classes < FEWEST_CLASSES:
            raise SettingsError(
                f"name: autoattack needs {FEWEST_CLASSES} classes, and these networks have {classes}; use pgd with "
                "loss: both"
            )
        attack = AutoAttack(network, norm=NORMS[norm], eps=eps, seed=seed, device=victims.device)
        attack.logger = logging.getLogger("auto-attack")
        attack.logger.setLevel(logging.ERROR)
        attack.apgd_targeted.n_target_classes = min(TARGETS, classes - 1)
        attack.fab.n_target_classes = min(TARGETS, classes - 1)
        attacked, predicted = attack.run_standard_evaluation(images, labels, batch_size=len(images))
        hits = predicted != labels
        found.broken[member, chosen[hits]] = True
        found.examples |= {(member, int(chosen[i])): attacked[i].detach() for i in hits.nonzero().flatten().tolist()}
    return found
