"""Questions of robustness: rows whose values come from attacks instead of the test accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.differences import row_difference
from cifar_lab.analysis.robust_scores import (
    accuracy_at,
    area_under_curve,
    distances,
    masking_signs,
    robust_levels,
)
from cifar_lab.analysis.scales import DISTANCES, SHARES, Scale
from cifar_lab.analysis.stats.significance import ALPHA
from cifar_lab.analysis.summary import Row
from cifar_lab.config.attack import AnyAttack, Corruption, DeepFool, EpsOptions, attack_id, attack_words, eps_words
from cifar_lab.config.io.attack_files import load_attack
from cifar_lab.config.sheets import Question
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import count
from cifar_lab.store.attack_records import AttackRecord, find_attacks
from cifar_lab.store.records import Record

TAG = re.compile(r"\n(accuracy|area|distance) ([0-9a-f]{12}) ([0-9.e-]*)\Z")
"""End of the key of a row whose values come from an attack: measure, attack and distance."""


@dataclass(frozen=True)
class RobustMeasure:
    """Number of an attack that is compared."""

    name: str
    """`accuracy`, `area` or `distance`."""
    attack_id: str
    eps: float | None = None
    """Distance of `accuracy`. None: the mean over the kinds and severities of corruptions."""

    @property
    def tag(self) -> str:
        """End of the key of a row, so that looks at the accuracy of two arms are not looks at their robustness."""
        return f"\n{self.name} {self.attack_id} {'' if self.eps is None else f'{self.eps:.9g}'}"

    @property
    def scale(self) -> Scale:
        """Units of the number."""
        return DISTANCES if self.name == "distance" else SHARES

    def value(self, attack: AttackRecord) -> float | None:
        """Number of one network. None where the record has none."""
        if self.name == "area":
            return area_under_curve(attack)
        if self.name == "distance":
            found = distances(attack)
            return found.median if found is not None and isfinite(found.median) else None
        if self.eps is not None:
            return accuracy_at(attack, self.eps)
        levels = robust_levels(attack)
        return fmean(each.accuracy for each in levels) if levels else None


def measure_of(key: str) -> RobustMeasure | None:
    """Measure in the key of a row. None for a row of test accuracies."""
    found = TAG.search(key)
    return None if found is None else RobustMeasure(found[1], found[2], float(found[3]) if found[3] else None)


def plain_key(key: str) -> str:
    """The key of a row without its measure."""
    return TAG.sub("", key)


@dataclass(frozen=True)
class RobustPlan:
    """The comparison of a question of robustness."""

    attack: AnyAttack
    measures: tuple[RobustMeasure, ...]
    equal_clean: float | None = None


def robust_plan(name: str, question: Question, lab_path: Path) -> RobustPlan | None:
    """Measures of a question. None for a question of test accuracy.

    Raises:
        SettingsError: the attack is unknown or wrong, or does not give the measure.
    """
    asked = question.robust
    if asked is None:
        return None
    where = f"{lab_path}: questions.{name}.robust"
    try:
        attack = load_attack(asked.attack, where=lab_path.parent)
    except SettingsError as error:
        raise SettingsError("\n".join(f"{where}.attack: {each}" for each in map(str, error.problems))) from error
    measure = asked.measure or ("distance" if isinstance(attack, DeepFool) else "accuracy")
    if (measure == "distance") != isinstance(attack, DeepFool):
        wanted = "deepfool" if measure == "distance" else "pgd, fgsm, autoattack, noise or corruption"
        raise SettingsError(f"{where}: measure: {measure} needs another attack; set attack: {wanted}")
    if asked.eps is not None and (measure != "accuracy" or not isinstance(attack, EpsOptions)):
        raise SettingsError(f"{where}.eps: only the accuracy under an attack within a distance has one; omit eps")
    identity = attack_id(attack)
    if measure != "accuracy" or not isinstance(attack, EpsOptions):
        return RobustPlan(attack, (RobustMeasure(measure, identity),), asked.equal_clean)
    return RobustPlan(attack, tuple(_at(attack, asked.eps, where, identity)), asked.equal_clean)


def _at(attack: EpsOptions, eps: Sequence[float] | None, where: str, identity: str) -> Iterator[RobustMeasure]:
    """The accuracy at each distance that is asked for.

    Raises:
        SettingsError: the attack does not try it.
    """
    for each in eps or attack.distances[-1:]:
        if not any(abs(each - tried) < 1e-9 for tried in attack.distances):
            tried_words = ", ".join(map(eps_words, attack.distances))
            raise SettingsError(
                f"{where}.eps: the attack does not try {eps_words(each)}; its distances are {tried_words}"
            )
        yield RobustMeasure("accuracy", identity, each)


def measure_words(plan: RobustPlan, measure: RobustMeasure) -> str:
    """Name of the compared number, as a heading."""
    attack = attack_words(plan.attack)
    if measure.name == "area":
        return f"Mean robust accuracy over the distances of {attack}"
    if measure.name == "distance":
        return "Median DeepFool distance, L2 of pixels 0 to 1"
    if measure.eps is None:
        return "Mean accuracy under corruptions"
    return f"Robust accuracy under {attack} within {eps_words(measure.eps)}"


AttacksOf = Callable[[str], Sequence[AttackRecord]]
"""Complete attacks on the network of a run, by its id."""


def attacks_of(results: Path, records: Sequence[Record]) -> AttacksOf:
    """Reader of attacks that reads those of a run once, however many questions ask for them."""
    by_id = {record.run_id: record for record in records}
    return cache(lambda run_id: tuple(find_attacks(results, by_id[run_id])))


def robust_answers(answer: Answer, plan: RobustPlan, found: AttacksOf, command: str) -> list[Answer]:
    """An answer per measure, from the answer of the arms' test accuracies. Not judged yet.

    Args:
        command: makes the missing attacks.
    """
    wanted = attack_id(plan.attack)
    attacks = {
        run_id: attack
        for row in answer.rows
        for run_id in row.run_ids
        for attack in found(run_id)
        if attack.attack_id == wanted
    }
    made = []
    for number, measure in enumerate(plan.measures, start=1):
        last = "" if len(plan.measures) == 1 else f"-{number}"
        chart = f"{answer.question.chart.removesuffix('.png')[:60]}{last}.png"
        rows = [_row(row, measure, attacks, command) for row in answer.rows]
        made.append(
            replace(
                answer,
                name=f"{answer.name}{last}",
                pairs_of=f"{answer.pairs_of}{last}" if answer.pairs_of else "",
                question=answer.question.model_copy(update={"chart": chart}),
                rows=tuple(_gated(rows, answer.rows, plan)),
                notes=(*answer.notes, *_notes(answer.rows, attacks, plan)),
                quantity=measure_words(plan, measure),
                attacks=tuple(attacks.values()),
                attack=plan.attack,
                to_attack=tuple(dict.fromkeys(run_id for row in answer.rows for run_id in row.run_ids)),
                sweep=None,
                selection_bias=None,
                tuned=(),
            )
        )
    return made


def _row(row: Row, measure: RobustMeasure, attacks: Mapping[str, AttackRecord], command: str) -> Row:
    """The row with the values of the measure. Runs without the attack are left out, and the command makes it."""
    found = [
        (seed, value, run_id)
        for run_id, (seed, _) in zip(row.run_ids, row.values, strict=True)
        if run_id in attacks and (value := measure.value(attacks[run_id])) is not None
    ]
    values = [value for _, value, _ in found]
    missing = sum(run_id not in attacks for run_id in row.run_ids)
    images = len(next(iter(attacks.values())).images) if attacks else 0
    return replace(
        row,
        values=tuple((seed, value) for seed, value, _ in found),
        mean=fmean(values) if values else None,
        std=stdev(values) if len(values) > 1 else None,
        run_ids=tuple(run_id for _, _, run_id in found),
        predictions=(),
        scale=measure.scale,
        key=row.key + measure.tag if row.key else "",
        test_size=images if measure.name == "accuracy" else 0,
        command=command if missing else row.command,
        not_attacked=missing,
    )


def _gated(rows: Sequence[Row], clean: Sequence[Row], plan: RobustPlan) -> Iterator[Row]:
    """Rows without a verdict where clean accuracies are not shown to be equivalent."""
    control = clean[0]
    for index, (row, plain) in enumerate(zip(rows, clean, strict=True)):
        margin = plan.equal_clean
        if index == 0 or margin is None:
            yield row
            continue
        gap = row_difference(plain, control)
        p = None if gap is None else gap.equivalence_p(margin / 100)
        if p is not None and p <= ALPHA:
            yield row
        else:
            words = f"test accuracies that are not shown to be equivalent within {margin:g} pp"
            yield replace(row, withheld=words)


def _notes(rows: Iterable[Row], attacks: Mapping[str, AttackRecord], plan: RobustPlan) -> Iterator[str]:
    """Sentences on the attack, on runs without it, and on masked gradients."""
    images = len(next(iter(attacks.values())).images) if attacks else 0
    if images:
        yield (
            f"Each network was attacked on {count(images, 'test image')}. An image that is wrong when clean counts as "
            "not robust."
        )
    for row in rows:
        of_row = [attacks[run_id] for run_id in row.run_ids if run_id in attacks]
        if missing := len(row.run_ids) - len(of_row):
            yield f"{row.label}: {count(missing, 'run')} of {row.n} not attacked yet."
        for sign in masking_signs(of_row):
            yield f"{row.label}: its gradients are masked ({sign}), so that its robustness is overstated."
        left = [found for each in of_row if (found := distances(each)) is not None]
        if isinstance(plan.attack, DeepFool) and (stuck := sum(each.not_flipped for each in left)):
            total = sum(each.images for each in left)
            yield f"{row.label}: {stuck:,} of {total:,} images were not flipped and count as infinitely far."
    if isinstance(plan.attack, Corruption):
        yield "Corruptions are noise, blur, contrast and JPEG at five severities."
