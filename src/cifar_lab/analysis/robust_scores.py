"""Numbers of an attack record: robust accuracies, area under the curve, distances, and signs of masked gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import fmean, median

from cifar_lab.config.attack import attack_from, eps_words
from cifar_lab.store.attack_records import AttackLevel, AttackRecord

MASKED_SHARE = 0.01
"""Share of the images from which a sign of masked gradients counts."""

ZERO_SHARE = 0.05
"""Share of zero gradients from which they count as masked. A confident network has a few."""


@dataclass(frozen=True)
class RobustLevel:
    """Accuracy at one distance or severity."""

    level: float
    kind: str
    accuracy: float
    """Share of all images that are classified correctly, 0 to 1. An image that is misclassified within a smaller
    distance counts as misclassified."""


def clean_accuracy(attack: AttackRecord) -> float:
    """Accuracy of the network on the attacked images without an attack, 0 to 1."""
    return attack.clean.count("1") / len(attack.images)


def robust_levels(attack: AttackRecord) -> list[RobustLevel]:
    """Accuracy at every level. That of an attack is its worst case: it never rises with the distance."""
    made: list[RobustLevel] = []
    worst: list[bool] = [mark == "1" for mark in attack.clean]
    for each in attack.levels:
        right = [mark == "1" for mark in each.correct]
        if not each.kind:
            worst = right = [a and b for a, b in zip(worst, right, strict=True)]
        made.append(RobustLevel(each.level, each.kind, sum(right) / len(attack.images)))
    return made


def accuracy_at(attack: AttackRecord, eps: float) -> float | None:
    """Robust accuracy at a distance. None where the attack did not try it."""
    found = (each.accuracy for each in robust_levels(attack) if not each.kind and abs(each.level - eps) < 1e-9)
    return next(found, None)


def area_under_curve(attack: AttackRecord) -> float | None:
    """Mean robust accuracy from distance 0 to the largest, by trapezoids. None for a single distance."""
    points = [(each.level, each.accuracy) for each in robust_levels(attack) if not each.kind]
    if points and points[0][0] > 0:
        points.insert(0, (0.0, clean_accuracy(attack)))
    if len(points) < 2:
        return None
    area = sum((right - left) * (above + below) / 2 for (left, above), (right, below) in pairwise(points))
    return area / (points[-1][0] - points[0][0])


@dataclass(frozen=True)
class Distances:
    """DeepFool distances of the images that are classified correctly."""

    median: float
    """Infinite where most images were not flipped."""
    mean: float | None
    """Of the flipped images. None without any."""
    images: int
    not_flipped: int


def distances_of_correct(attack: AttackRecord) -> list[float]:
    """DeepFool distance of each image that is classified correctly, infinite where it was not flipped."""
    pairs = zip(attack.clean, attack.distances, strict=False)
    return [inf if distance is None else distance for mark, distance in pairs if mark == "1"]


def distances(attack: AttackRecord) -> Distances | None:
    """Distances of a DeepFool record. None for other attacks, and where no image is correct."""
    found = distances_of_correct(attack)
    if not found:
        return None
    finite = [each for each in found if each < inf]
    return Distances(median(found), fmean(finite) if finite else None, len(found), len(found) - len(finite))


def masking_signs(attacks: Sequence[AttackRecord]) -> list[str]:
    """Signs that the gradients of the attacked networks are masked, so that their robust accuracy is overstated."""
    return list(dict.fromkeys(sign for attack in attacks for sign in _signs(attack)))


def _signs(attack: AttackRecord) -> Iterator[str]:
    total, facts = len(attack.images), attack.gradients
    if facts.images and facts.zero > ZERO_SHARE * facts.images:
        yield f"{100 * facts.zero / facts.images:.0f} % of the gradients are zero"
    if facts.unbounded and facts.unbounded > MASKED_SHARE * total:
        yield f"{facts.unbounded:,} of {total:,} images withstand an attack without a bound"
    for each in attack.levels:
        if (only := _single_step_alone(each)) > MASKED_SHARE * total:
            yield f"one step finds {only:,} images at {eps_words(each.level)} that many steps do not"
    if attack_from(dict(attack.attack)).name != "fgsm":  # one step may go too far, so its curve may rise
        yield from _rises(attack.levels, total)


def _single_step_alone(level: AttackLevel) -> int:
    """Images that one step misclassifies and the iterated attack does not."""
    pairs = zip(level.correct, level.single_step, strict=False)
    return sum(many == "1" and one == "0" for many, one in pairs)


def _rises(levels: Sequence[AttackLevel], total: int) -> Iterator[str]:
    for before, after in pairwise(levels):
        gain = after.correct.count("1") - before.correct.count("1")
        if not after.kind and gain > MASKED_SHARE * total:
            yield f"accuracy rises from {eps_words(before.level)} to {eps_words(after.level)}"
