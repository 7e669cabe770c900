"""Choice of the `--set` options of a report: those with which the arms of the lab file have runs.

`run q3_adam.yaml --set epochs=2` makes runs that fit no arm of the lab file as it is written. The settings in which
such runs differ from an arm are the options that were given, where they are the same for a control and an arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cifar_lab.analysis.arms import Arm
from cifar_lab.analysis.labels import flat, set_value
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.io.setting_keys import PATH_KEYS, keys_with
from cifar_lab.config.roles import Role
from cifar_lab.config.sheets import LabSheet
from cifar_lab.store.records import Record

MOST_OPTIONS = 6
"""Options that a choice has at most."""

MOST_ARMS = 300
"""Arms of the results folder that are compared with those of the lab file, the last finished first."""

Options: TypeAlias = tuple[str, ...]
Matches: TypeAlias = dict[str, str]
"""Run identity of the runs that an arm has, by its file."""


def choose_settings(lab: LabSheet, arms: Mapping[str, Arm], records: Sequence[Record]) -> Options:
    """Options with which the runs of this folder answer most questions. Empty: the arms as they are written.

    The arms as they are written come first where they answer a question. Ties go to the last finished runs, then to
    the fewest options.

    Args:
        arms: by file, as they are written.
    """
    runs = _arms_of(records)
    written: dict[str, Matches] = {}
    for run in runs:
        for file, arm in arms.items():
            if arm.key == run.key:
                written.setdefault(run.fingerprint, {})[file] = run.key
    if any(_answered(lab, files) for files in written.values()):
        return ()
    scores: dict[Options, tuple[int, str, int]] = {}
    for (options, _), (files, finished) in _candidates(arms, runs).items():
        score = (_answered(lab, files), finished, -len(options))
        scores[options] = max(score, scores.get(options, score))
    best = max(scores, key=lambda options: scores[options], default=())
    return best if best and scores[best][0] else ()


def _answered(lab: LabSheet, files: Matches) -> int:
    """Arms that have runs beside runs of their control, which are not the same runs."""
    return sum(
        arm in files and control in files and files[arm] != files[control]
        for question in lab.questions.values()
        for control in [question.control or lab.control]
        for arm in question.arms
    )


@dataclass(frozen=True)
class _FolderArm:
    """An arm of the results folder on one data set."""

    key: str
    """Its `recipe_key`."""
    fingerprint: str
    finished: str
    """Time of its last run."""
    values: Mapping[str, Any]
    """Settings that change numbers, by dotted key."""
    stated: frozenset[str]
    """Those that are not at the default of their choice."""


def _arms_of(records: Sequence[Record]) -> list[_FolderArm]:
    """The arms of all runs but those of searches, the last finished first."""
    found: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda each: each.finished, reverse=True):
        if record.test_reason != "search" and len(found) < MOST_ARMS:
            found.setdefault((recipe_key(record.recipe), record.data.fingerprint), record)
    return [
        _FolderArm(key, fingerprint, record.finished, _values(record.settings), _stated(record.settings))
        for (key, fingerprint), record in found.items()
    ]


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    left_out = keys_with(Role.LABEL, Role.SOURCE, Role.EXECUTION)
    return {key: value for key, value in flat(settings).items() if key not in left_out}


def _stated(settings: Mapping[str, Any]) -> frozenset[str]:
    """Keys that are not at the default of their choice. Empty where this version does not know the settings."""
    try:
        found = Settings.model_validate(settings, strict=False)
    except ValueError:
        return frozenset()
    return frozenset(_values(found.model_dump(mode="json", exclude_defaults=True)))


def _candidates(arms: Mapping[str, Arm], runs: Sequence[_FolderArm]) -> dict[tuple[Options, str], tuple[Matches, str]]:
    """(arms that have runs, time of the last) by options and images."""
    found: dict[tuple[Options, str], tuple[Matches, str]] = {}
    for file, arm in arms.items():
        written = _values(arm.settings.model_dump(mode="json"))
        for run in runs:
            if options := tuple(_options(written, run)):
                files, finished = found.setdefault((options, run.fingerprint), ({}, run.finished))
                files[file] = run.key
                found[options, run.fingerprint] = files, max(finished, run.finished)
    return found


def _options(written: Mapping[str, Any], run: _FolderArm) -> Iterator[str]:
    """Options that lead from an arm to the run. None where they are too many, or name a file."""
    keys = [key for key, value in run.values.items() if key not in written or written[key] != value]
    keys = [key for key in keys if key in written or key in run.stated]
    if len(keys) <= MOST_OPTIONS and not any(key in PATH_KEYS for key in keys):
        yield from (f"{key}={set_value(run.values[key])}" for key in sorted(keys))
