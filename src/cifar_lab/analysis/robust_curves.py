"""Curves of robust accuracy per arm, robust against clean accuracy of each run, and examples of attacked images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.robust_scores import clean_accuracy, distances_of_correct, robust_levels
from cifar_lab.analysis.stats.significance import t_interval
from cifar_lab.config.attack import L2_CURVE, Corruption, DeepFool, attack_from, eps_words
from cifar_lab.store.attack_records import AttackExample, AttackRecord


@dataclass(frozen=True)
class CurvePoint:
    """Robust accuracy of an arm at one level, 0 to 1."""

    level: float
    words: str
    """Name of the level."""
    mean: float
    low: float | None
    """Lower end of the 95 % t interval of the mean. None below two runs."""
    high: float | None


@dataclass(frozen=True)
class RunPoint:
    """Clean and robust accuracy of one run, 0 to 1."""

    seed: int
    clean: float
    robust: float
    """At the level of the question, else at the last but one of the attack's levels."""


@dataclass(frozen=True)
class ArmRobustness:
    """Robustness of an arm."""

    index: int
    """Of its row."""
    label: str
    curve: Sequence[CurvePoint]
    runs: Sequence[RunPoint]
    examples: Sequence[AttackExample]
    """One attacked image per class, of the first run that has some."""


def arm_robustness(answer: Answer) -> list[ArmRobustness]:
    """Robustness of each arm of a question that has attacked runs. Empty for a question of test accuracy."""
    by_run = {attack.run_id: attack for attack in answer.attacks}
    found = []
    for index, row in enumerate(answer.rows):
        pairs = [
            (seed, by_run[run_id])
            for (seed, _), run_id in zip(row.values, row.run_ids, strict=True)
            if run_id in by_run
        ]
        if pairs:
            attacks = [attack for _, attack in pairs]
            curves = [_levels(attack) for attack in attacks]
            runs = [
                RunPoint(seed, clean_accuracy(attack), _robust(answer, dict(row.values)[seed], curve))
                for (seed, attack), curve in zip(pairs, curves, strict=True)
            ]
            examples = next((attack.examples for attack in attacks if attack.examples), ())
            found.append(ArmRobustness(index, row.label, _mean_curve(curves), runs, examples))
    return found


Levels = list[tuple[float, str, float]]


def _robust(answer: Answer, value: float, curve: Levels) -> float:
    """Accuracy that stands for the robustness of a run: the compared one, where it is an accuracy."""
    return value if answer.control.scale.is_share or not curve else curve[len(curve) // 2][2]


def _levels(attack: AttackRecord) -> Levels:
    """(level, name, accuracy) from the clean images on. DeepFool gives the share of images that are farther away."""
    settings = attack_from(dict(attack.attack))
    clean: tuple[float, str, float] = (0.0, "0", clean_accuracy(attack))
    if isinstance(settings, DeepFool):
        far = distances_of_correct(attack)
        return [
            clean,
            *((eps, eps_words(eps), sum(each > eps for each in far) / len(attack.images)) for eps in L2_CURVE[1:]),
        ]
    levels = robust_levels(attack)
    if isinstance(settings, Corruption):
        severities = sorted({each.level for each in levels})
        return [
            clean,
            *((at, f"{at:g}", fmean(each.accuracy for each in levels if each.level == at)) for at in severities),
        ]
    return [clean, *((each.level, eps_words(each.level), each.accuracy) for each in levels if each.level > 0)]


def _mean_curve(curves: Sequence[Levels]) -> list[CurvePoint]:
    points = []
    for at_level in zip(*curves, strict=True):
        values = [value for _, _, value in at_level]
        low, high = t_interval(values) or (None, None)
        level, words, _ = at_level[0]
        points.append(CurvePoint(level, words, fmean(values), low, high))
    return points
