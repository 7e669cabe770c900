"""The points of a sweep: what each sets in the base, as valid settings, each meaning only once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cifar_lab.config import Net, Settings
from cifar_lab.config.io import Variations
from cifar_lab.config.run_id import DATA_SOURCE_KEYS, recipe
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.labels import dotted, point_label

SHOWN_PROBLEMS = 10

_ANY_MODEL = Net()

MAX_LABEL = 200
"""Characters: the limit of `label`."""


@dataclass(frozen=True)
class Point:
    """One combination of a sweep."""

    name: str
    """What sets it apart, for people; no two points of a sweep share it."""
    values: Mapping[str, Any]
    """What it changes in the base: dotted key → value."""
    settings: Settings
    """The base with these values; its label is the name."""


@dataclass(frozen=True)
class Expansion:
    """The points of a sweep and what did not become one."""

    points: tuple[Point, ...]
    duplicates: int
    """Combinations that mean the same as an earlier point."""
    excluded: int
    """Combinations that `exclude` took out."""
    proposals: int = 0
    """What the search proposes as it goes, beside these points."""


@dataclass(frozen=True)
class PointResult:
    """A point and how it did in the search."""

    point: Point
    val_accuracies: tuple[float | None, ...]
    """Of each seed that has a result, 0 to 1; None where it diverged. Empty where all failed."""

    @property
    def value(self) -> float:
        """What a search is told: the mean, a run that diverged as 0; 0 where all failed."""
        return fmean(accuracy or 0.0 for accuracy in self.val_accuracies) if self.val_accuracies else 0.0


def make_points(
    combinations: Sequence[Mapping[str, Any]], arms: Mapping[str, Mapping[str, Any]], base: Settings, where: str
) -> tuple[tuple[Point, ...], int]:
    """(the points of all combinations and then of the arms, how many of these were no new ones).

    Args:
        combinations: dotted key → value.
        arms: name → dotted key → value.
        base: the settings that each point starts from.
        where: the sweep file, for messages.

    Raises:
        SettingsError: points that are not valid; each problem once, with the number of its points.
    """
    candidates = [("", values) for values in combinations] + list(arms.items())
    points, duplicates = _distinct(_build(candidates, base, where))
    return _with_unique_names(points), duplicates


def same_numbers(one: Settings, other: Settings) -> bool:
    """Whether two arms mean the same runs, whatever they are called and whatever their seeds."""
    return identity_of(one) == identity_of(other)


def _build(candidates: Sequence[tuple[str, Mapping[str, Any]]], base: Settings, where: str) -> list[Point]:
    """The points of all candidates (name or empty, values); or every problem that any of them has."""
    points, variations = [], Variations(base, where=where)
    found: dict[tuple[str, str], list[str]] = {}
    for given, values in candidates:
        name = given or point_label(values)
        try:
            points.append(Point(name, values, variations.settings(values)))
        except SettingsError as error:
            for problem in error.problems:
                found.setdefault((problem.key, problem.message), []).append(name)
    raise_any(
        where,
        [
            (key, f"{message} (in {len(names)} of {len(candidates)} points, first in: {names[0]})")
            for (key, message), names in found.items()
        ],
    )
    return points


def _distinct(points: Sequence[Point]) -> tuple[list[Point], int]:
    """The first of all points that mean the same, and how many were not the first."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(identity_of(point.settings), point)
    return list(first.values()), len(points) - len(first)


def identity_of(settings: Settings) -> str:
    """What two points must share to be one: the recipe and the source of the images.

    Files of a model count by their names here: their content is hashed once a run, not once a comparison.
    """
    source = settings.data.model_dump_json(include=set(DATA_SOURCE_KEYS))
    model = json.dumps(settings.model.model_dump(), sort_keys=True)
    return f"{recipe(settings.model_copy(update={'model': _ANY_MODEL}))} {model} {source}"


def _with_unique_names(points: Sequence[Point]) -> tuple[Point, ...]:
    """Spell out the keys where two names are the same, and label the settings by the names."""
    count = Counter(point.name for point in points)
    named = []
    for point in points:
        name = point.name if count[point.name] == 1 else dotted(point.values)
        label = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
        named.append(Point(name, point.values, point.settings.model_copy(update={"label": label})))
    return tuple(named)


def raise_any(where: str, problems: Sequence[tuple[str, str]]) -> None:
    """Raise the first ten of the problems and the number of the others, if there are any."""
    if problems:
        shown = [Problem(where, key, message) for key, message in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(Problem(where, "", f"and {len(problems) - SHOWN_PROBLEMS} more problems"))
        raise SettingsError(shown)
