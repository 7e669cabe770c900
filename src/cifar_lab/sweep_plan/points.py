"""The points of a sweep: combinations of its axes, each as valid settings, each meaning only once."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.config import Net, Settings
from cifar_lab.config_io import with_values
from cifar_lab.config_io.sweep_rules import sweep_problems
from cifar_lab.errors import Problem, SettingsError
from cifar_lab.identity import DATA_SOURCE_KEYS, recipe
from cifar_lab.sheets import SweepSheet
from cifar_lab.sweep_plan.labels import dotted, point_label
from cifar_lab.sweep_plan.rules import too_many_points

SHOWN_PROBLEMS = 10

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


def expand(sheet: SweepSheet, base: Settings, where: str, *, allow_large: bool = False) -> Expansion:
    """The points of a sweep: space × paired, less exclude, then the arms; each only once.

    Args:
        sheet: what the sweep file says.
        base: the settings that it starts from.
        where: the sweep file, for messages.
        allow_large: accept more than 10,000 combinations.

    Raises:
        SettingsError: keys stated twice, lists of unequal length, an exclusion that can exclude nothing, too many
            points or none, a point that is not valid; all of them at once.
    """
    problems = sweep_problems(sheet)
    if not allow_large and (many := too_many_points(sheet)):
        problems.append(("", many))
    _raise_any(where, problems)
    combinations = list(_product(_axes(sheet)))
    kept = _after_exclusions(combinations, sheet.exclude, where)
    candidates = [("", values) for values in kept] + [(name, dict(values)) for name, values in sheet.arms.items()]
    if not candidates:
        raise SettingsError([Problem(where, "exclude", "takes out every point; leave at least one")])
    points, duplicates = _distinct(_build(candidates, base, where))
    return Expansion(_with_unique_names(points), duplicates, excluded=len(combinations) - len(kept))


def same_numbers(one: Settings, other: Settings) -> bool:
    """Whether two arms mean the same runs, whatever they are called and whatever their seeds."""
    return _identity(one) == _identity(other)


# --- combinations ---------------------------------------------------------------------------------------------------

Axes = list[list[dict[str, Any]]]


def _axes(sheet: SweepSheet) -> Axes:
    """Each axis of the product as the list of what it sets."""
    axes = [[{key: value} for value in values] for key, values in sheet.space.items()]
    for group in sheet.paired:
        axes.append([dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)])
    return axes


def _product(axes: Axes) -> Iterator[dict[str, Any]]:
    """Every combination, the last axis fastest; none where there is no axis."""
    for combination in itertools.product(*axes) if axes else ():
        yield {key: value for part in combination for key, value in part.items()}


def _after_exclusions(
    combinations: Sequence[dict[str, Any]], exclude: Sequence[Mapping[str, Any]], where: str
) -> list[dict[str, Any]]:
    """The combinations that agree with no entry of `exclude`; an entry without any effect is a mistake."""
    hits = [[_agrees(values, partial) for partial in exclude] for values in combinations]
    idle = [i for i in range(len(exclude)) if not any(row[i] for row in hits)]
    message = "agrees with no point; check its values against space and paired"
    _raise_any(where, [(f"exclude[{i}]", f"{dotted(exclude[i])} {message}") for i in idle])
    return [values for values, row in zip(combinations, hits, strict=True) if not any(row)]


def _agrees(values: Mapping[str, Any], partial: Mapping[str, Any]) -> bool:
    return all(_plain(values[key]) == _plain(value) for key, value in partial.items())


def _plain(value: Any) -> Any:
    """For comparison: true is not 1, a tuple is a list, 1 is 1.0."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


# --- points ---------------------------------------------------------------------------------------------------------


def _build(candidates: Sequence[tuple[str, dict[str, Any]]], base: Settings, where: str) -> list[Point]:
    """The points of all candidates (name or empty, values); or every problem that any of them has."""
    points = []
    found: dict[tuple[str, str], list[str]] = {}
    for given, values in candidates:
        name = given or point_label(values)
        try:
            points.append(Point(name, values, with_values(base, values, where=where)))
        except SettingsError as error:
            for problem in error.problems:
                found.setdefault((problem.key, problem.message), []).append(name)
    _raise_any(
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
        first.setdefault(_identity(point.settings), point)
    return list(first.values()), len(points) - len(first)


def _identity(settings: Settings) -> str:
    """What two points must share to be one: the recipe and the source of the images.

    Files of a model count by their names here: their content is hashed once a run, not once a comparison.
    """
    source = settings.data.model_dump(include=set(DATA_SOURCE_KEYS))
    without_model = recipe(settings.model_copy(update={"model": Net()}))
    return json.dumps([without_model, settings.model.model_dump(), source], sort_keys=True)


def _with_unique_names(points: Sequence[Point]) -> tuple[Point, ...]:
    """Spell out the keys where two names are the same, and label the settings by the names."""
    count = Counter(point.name for point in points)
    named = []
    for point in points:
        name = point.name if count[point.name] == 1 else dotted(point.values)
        label = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
        named.append(Point(name, point.values, point.settings.model_copy(update={"label": label})))
    return tuple(named)


def _raise_any(where: str, problems: Sequence[tuple[str, str]]) -> None:
    """Raise the first ten of the problems and the number of the others, if there are any."""
    if problems:
        shown = [Problem(where, key, message) for key, message in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            shown.append(Problem(where, "", f"and {len(problems) - SHOWN_PROBLEMS} more problems"))
        raise SettingsError(shown)
