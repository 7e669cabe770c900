"""Points of a sweep: valid settings of a base with a few values changed, each meaning once, with unique names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from cifar_lab.config import NetModel, Settings
from cifar_lab.config.io.load import Variations
from cifar_lab.config.io.point_labels import dotted, point_label
from cifar_lab.config.roles import source_key
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.conditions import unstated_value
from cifar_lab.studies.space.short_labels import short_label

SHOWN_PROBLEMS = 10

MAX_LABEL = 200
"""Characters: the limit of `label`."""

AS_BASE = "as base"
"""Name of a point whose settings are all disabled, as in the base."""

_ANY_MODEL = NetModel()


@dataclass(frozen=True)
class Point:
    """One combination of values of a sweep."""

    name: str
    """Unique within the sweep. Printed, and the label of the settings."""
    values: Mapping[str, Any]
    """Changes of the base, by dotted key."""
    settings: Settings
    """The base with these values."""


@dataclass(frozen=True)
class Expansion:
    """Points that are known before a search starts."""

    points: tuple[Point, ...]
    duplicates: int
    """Combinations that mean the same as an earlier point."""
    excluded: int
    """Combinations that `exclude` removed."""
    trials: int = 0
    """Further points that the method proposes during the search."""


@dataclass(frozen=True)
class PointResult:
    """A point with its validation accuracies."""

    point: Point
    val_accuracies: tuple[float | None, ...]
    """Per seed that has a result, 0 to 1. None where the run diverged, empty where all failed."""

    @property
    def value(self) -> float:
        """Objective of the search: the mean, with 0 for a run that diverged. 0 where all failed."""
        return fmean(accuracy or 0.0 for accuracy in self.val_accuracies) if self.val_accuracies else 0.0


def make_points(
    combinations: Sequence[Mapping[str, Any]],
    arms: Mapping[str, Mapping[str, Any]],
    base: Settings,
    where: str,
    advice: Callable[[str], str] = lambda key: "",
) -> tuple[tuple[Point, ...], int]:
    """Points of all combinations and then of the arms, and the number of duplicates among them.

    Args:
        combinations: values by dotted key.
        arms: values by dotted key, by name of the arm.
        base: settings that each point starts from.
        where: the sweep file, for messages.
        advice: what to write instead, for the key of a problem that some points have.

    Raises:
        SettingsError: points that are not valid. Each problem is named once, with the number of its points.
    """
    candidates = [("", values) for values in combinations] + list(arms.items())
    points, duplicates = _distinct(_build(candidates, base, where, advice))
    return _with_unique_names(points), duplicates


def same_numbers(one: Settings, other: Settings) -> bool:
    """Whether two arms mean the same runs, apart from label and seeds."""
    return identity_of(one) == identity_of(other)


def identity_of(settings: Settings) -> str:
    """Key of equal points: run identity and image source.

    Files of a custom model count by their names, because their content is hashed once per run and not per comparison.
    """
    model = json.dumps(settings.model.model_dump(), sort_keys=True)
    return f"{recipe(settings.model_copy(update={'model': _ANY_MODEL}))} {model} {source_key(settings.data)}"


def _build(
    candidates: Sequence[tuple[str, Mapping[str, Any]]], base: Settings, where: str, advice: Callable[[str], str]
) -> list[Point]:
    """Points of all candidates, which are pairs of a name (or none) and values.

    Raises:
        SettingsError: every problem of any of them.
    """
    points, variations = [], Variations(base, where=where)
    found: dict[tuple[str, str], list[str]] = {}
    for given, values in candidates:
        name = _name(given, values, base)
        try:
            points.append(Point(name, values, variations.settings(values)))
        except SettingsError as error:
            for problem in error.problems:
                found.setdefault((problem.key, problem.message), []).append(name)
    raise_any(
        where,
        [
            (key, f"{message} (in {len(names)} of {len(candidates)} points, first in: {names[0]}){advice(key)}")
            for (key, message), names in found.items()
        ],
    )
    return points


def _name(given: str, values: Mapping[str, Any], base: Settings) -> str:
    """The stated name of an arm, or a name made of the values that change the base."""
    if given and given != point_label(values):  # an arm of a list has the label of all its values
        return given
    if not values:
        return base.label
    return short_label(values, partial(unstated_value, base, values=values)) or AS_BASE


def _distinct(points: Sequence[Point]) -> tuple[list[Point], int]:
    """First point of each meaning, and the number of the others."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(identity_of(point.settings), point)
    return list(first.values()), len(points) - len(first)


def _with_unique_names(points: Sequence[Point]) -> tuple[Point, ...]:
    """Spell out the keys of points that share a name, and label the settings by the names."""
    count = Counter(point.name for point in points)
    named = []
    for point in points:
        name = point.name if count[point.name] == 1 else dotted(point.values)
        label = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
        named.append(Point(name, point.values, point.settings.model_copy(update={"label": label})))
    return tuple(named)


def raise_any(where: str, problems: Sequence[tuple[str, str]]) -> None:
    """Raise the problems, given as (key, message), if any.

    Raises:
        SettingsError: the first ten, and the number of the others.
    """
    if problems:
        shown = [Problem(where, key, message) for key, message in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(Problem(where, "", f"and {len(problems) - SHOWN_PROBLEMS} more problems"))
        raise SettingsError(shown)
