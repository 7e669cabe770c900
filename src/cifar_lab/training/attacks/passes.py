"""Work of an attack, as passes of an image through a network, forward and back. No torch.

The number is that of an image that withstands the attack. Images that are misclassified sooner are dropped.
"""

from __future__ import annotations

from cifar_lab.config.attack import PGD, AnyAttack, AutoAttack, Corruption, DeepFool, EpsOptions, Noise

FORWARD = 1 / 3
"""Share of a pass without the way back."""

DEEPFOOL_STEPS = 5
"""Steps of DeepFool until most images are misclassified. Each has a way back per candidate."""

AUTO_PASSES = 1900 + 5000 * FORWARD
"""AutoAttack: 100 steps with one loss, 900 each towards nine classes by two attacks, and 5,000 queries."""


def passes(attack: AnyAttack) -> float:
    """Passes of one image through one network."""
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
        return distances * AUTO_PASSES + 1
    return distances * FORWARD * (attack.draws if isinstance(attack, Noise) else 1) + 1
