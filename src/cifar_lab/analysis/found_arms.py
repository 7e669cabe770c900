"""Comparisons of the arms that a results folder has, where no lab file asked for them beforehand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.confounders import Facts, confounders
from cifar_lab.analysis.factors import factor_words, factors
from cifar_lab.analysis.labels import distinct_labels, flat, labelled_record, stated_count
from cifar_lab.analysis.summary import Row, arm_row, recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.sheets import Question
from cifar_lab.store.records import Record

FOUND_NOTE = "found in the folder, not asked beforehand"
"""Words that mark a comparison that no lab file planned."""


@dataclass(frozen=True)
class FoundArm:
    """An arm of a results folder on one data set, with its runs."""

    label: str
    records: tuple[Record, ...]
    settings: Settings | None
    """None where this version does not know a setting of its runs."""
    identity: Mapping[str, Any]
    """Run identity without the seed, by dotted key. Defaults are left out."""

    @property
    def finished(self) -> str:
        """Time of its last run."""
        return max(record.finished for record in self.records)

    @property
    def started(self) -> str:
        """Time of its first run."""
        return min(record.started for record in self.records)

    def row(self, *, is_control: bool = False) -> Row:
        """Its row in a table."""
        return arm_row(self.label, self.records, is_control=is_control)


def found_arms(records: Iterable[Record]) -> list[FoundArm]:
    """The arms of these runs, all on one data set, with labels that tell them apart. Runs of searches are left out."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.test_reason != "search":
            groups.setdefault(recipe_key(record.recipe), []).append(record)
    last = [max(group, key=lambda record: record.finished) for group in groups.values()]
    labels = distinct_labels([labelled_record(record) for record in last])
    return [
        FoundArm(label, tuple(group), _settings(record), flat(record.recipe))
        for label, group, record in zip(labels, groups.values(), last, strict=True)
    ]


def choose_control(arms: Sequence[FoundArm]) -> FoundArm:
    """The arm from which the others differ in the fewest settings.

    On a tie the one with most defaults, then the one that was begun first.
    """
    keys = {key for arm in arms for key in arm.identity}
    counts = {key: Counter(repr(arm.identity.get(key)) for arm in arms) for key in keys}

    def differences(arm: FoundArm) -> int:
        return sum(len(arms) - counts[key][repr(arm.identity.get(key))] for key in keys)

    return min(arms, key=lambda arm: (differences(arm), stated_count(arm.identity), arm.started, arm.label))


def found_answers(arms: Sequence[FoundArm]) -> tuple[list[Answer], Answer | None]:
    """(one answer per factor with the arms that differ from the control in it alone, the other arms).

    The answers are not judged yet. The other arms get no verdict.
    """
    if not arms:
        return [], None
    control = choose_control(arms)
    groups: dict[str, list[FoundArm]] = {}
    others: list[tuple[FoundArm, str]] = []
    for arm in sorted(arms, key=lambda each: (each.started, each.label)):
        if arm is not control:
            varied = _factors(control, arm)
            if len(varied) == 1:
                groups.setdefault(next(iter(varied)), []).append(arm)
            else:
                others.append((arm, ", ".join(varied.values()) or "settings that this version does not know"))
    answers = [_answer(factor, control, members) for factor, members in groups.items()]
    if not others and answers:
        return _with_names(answers), None
    return _with_names(answers), _other_arms(control, others)


def _factors(control: FoundArm, arm: FoundArm) -> dict[str, str]:
    """Factors in which the arm differs from the control, with their words. Empty where they are not known."""
    if control.settings is None or arm.settings is None:
        return {}
    found = factors(control.settings, arm.settings)
    if not found:  # the same settings, and another content of a file that they name
        keys = sorted(control.identity.keys() | arm.identity.keys())
        return {key: key for key in keys if control.identity.get(key) != arm.identity.get(key)}
    return {name: factor_words(changed, arm.settings) for name, changed in found.items()}


def _answer(factor: str, control: FoundArm, arms: Sequence[FoundArm]) -> Answer:
    title = f"Does another {factor} than that of {control.label} help?"
    rows = (control.row(is_control=True), *(arm.row() for arm in arms))
    notes = [f"{arm.label} differs from {control.label} in {_factors(control, arm)[factor]}." for arm in arms]
    notes += [f"{arm.label}: {sentence}." for arm in arms for sentence in _confounders(control, arm)]
    question = Question(title=title[:300], chart=f"found_{_slug(factor)}.png", note=f"{FOUND_NOTE.capitalize()}.")
    return Answer(_slug(factor), question, rows, tuple(notes))


def _confounders(control: FoundArm, arm: FoundArm) -> list[str]:
    """Sentences on changes that come with the factor, from the settings of the runs."""
    if control.settings is None or arm.settings is None:
        return []
    first = control.records[0]
    facts = Facts(first.data.train_size + first.data.val_size, first.parameters, arm.records[0].parameters)
    return confounders(_with_seeds(control), _with_seeds(arm), facts)


def _with_seeds(arm: FoundArm) -> Settings:
    """Settings of the arm with the seeds of its runs."""
    assert arm.settings is not None
    return arm.settings.model_copy(update={"seeds": tuple(sorted({run.seed for run in arm.records}))})


def _other_arms(control: FoundArm, arms: Sequence[tuple[FoundArm, str]]) -> Answer:
    """Table of the arms without a verdict. The control alone where it is the only arm."""
    title = "Arms that differ in more than one factor" if arms else "The only arm in this folder"
    notes = [f"{arm.label} differs from {control.label} in {words}: no verdict." for arm, words in arms]
    rows = (control.row(is_control=True), *(arm.row() for arm, _ in arms))
    return Answer("other", Question(title=title, chart="found_other.png"), rows, tuple(notes))


def _settings(record: Record) -> Settings | None:
    try:
        return Settings.model_validate(record.settings, strict=False)
    except ValueError:
        return None


def _slug(factor: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", factor).strip("-")[:24] or "factor"


def _with_names(answers: Sequence[Answer]) -> list[Answer]:
    """Answers whose names and charts differ."""
    names = Counter[str]()
    found = []
    for answer in answers:
        names[answer.name] += 1
        number = names[answer.name]
        if number > 1:
            name = f"{answer.name}-{number}"
            question = answer.question.model_copy(update={"chart": f"found_{name}.png"})
            answer = replace(answer, name=name, question=question)
        found.append(answer)
    return found
