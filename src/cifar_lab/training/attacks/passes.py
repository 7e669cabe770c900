"""Work of an attack, as passes of an image through a network, forward and back. No torch.

The number is that of an image that withstands the attack. Images that are misclassified sooner are dropped.
"""

from __future__ import annotations

from cifar_lab.config.attack import PGD, AnyAttack, AutoAttack, Corruption, DeepFool, EpsOptions, Noise

FORWARD = 1 / 3
"""Share of a pass without the way back."""

DEEPFOOL_STEPS = 5
"""Steps of DeepFool until most images are misclassified. Each has a way back per candidate."""

AUTO_STEPS = 100
"""Steps of each part of AutoAttack: with one loss, then towards each target class by two attacks."""

AUTO_TARGETS = 9
"""Most target classes of AutoAttack."""

AUTO_QUERIES = 5000
"""Queries of the last attack of AutoAttack, without a way back."""


def auto_passes(classes: int, clean: float = 1.0, robust: float = 1.0) -> float:
    """Passes per image and distance of AutoAttack, which drops the images that each of its four attacks changed.

    Args:
        classes: number of classes, from which the target classes follow.
        clean: share of the images that are classified correctly. The others are not attacked.
        robust: share that withstands the first attack, at most.
    """
    later = 2 * AUTO_STEPS * min(AUTO_TARGETS, classes - 1) + AUTO_QUERIES * FORWARD
    return clean * AUTO_STEPS + min(clean, robust) * later


def passes(attack: AnyAttack, classes: int = 10) -> float:
    """Passes of one image through one network, which has this number of classes."""
    if isinstance(attack, DeepFool):
        return DEEPFOOL_STEPS * attack.candidates * (1 - FORWARD) + 1
    if isinstance(attack, Corruption):
        return 5 * len(attack.kinds) * FORWARD + 1
    assert isinstance(attack, EpsOptions)
    distances = sum(eps > 0 for eps in attack.distances)
    if isinstance(attack, PGD):
        each = attack.steps * attack.restarts * (2 if attack.loss == "both" else 1)
        return distances * each + 1
    if isinstance(attack, AutoAttack):
        return distances * auto_passes(classes) + 1
    return distances * FORWARD * (attack.draws if isinstance(attack, Noise) else 1) + 1
