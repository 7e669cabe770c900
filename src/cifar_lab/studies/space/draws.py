"""Random points of a space. Each axis, point and attempt has its random stream."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from cifar_lab.config.io.point_labels import dotted
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.agreement import agrees
from cifar_lab.studies.space.axes import Axis, Choices
from cifar_lab.studies.space.conditions import Space

MAX_ATTEMPTS = 1_000
"""Draws per point until one is not excluded."""

NO_SUCH_POINT = "matches no point; check its values against space and paired"

Partials = Sequence[Mapping[str, Any]]


def draw_points(space: Space, exclude: Partials, seed: int, trials: int, where: str) -> list[Mapping[str, Any]]:
    """Draw the values of `trials` points.

    A larger number of trials only appends points. A new axis leaves the draws of the other axes unchanged. An axis
    whose condition does not hold is left out.

    Raises:
        SettingsError: `exclude` leaves nearly nothing.
    """
    drawn = [_draw(space, exclude, seed, number) for number in range(trials)]
    kept = [values for values in drawn if values is not None]
    if len(kept) < trials:
        raise SettingsError([Problem(where, "exclude", "excludes nearly every point; keep more of them")])
    return kept


def exclusion_problems(axes: Sequence[Axis], exclude: Partials) -> list[tuple[str, str]]:
    """Key and message of each entry that can exclude nothing, because a list lacks its value."""
    return [
        (f"exclude[{number}]", f"{dotted(partial)} {NO_SUCH_POINT}")
        for number, partial in enumerate(exclude)
        if not all(_has(axis, axes, partial) for axis in axes if isinstance(axis, Choices))
    ]


def _has(axis: Choices, axes: Sequence[Axis], partial: Mapping[str, Any]) -> bool:
    """Whether an option of the axis, or of another part of its key, agrees with the exclusion."""
    own = {key: value for key, value in partial.items() if key in axis.options[0]}
    parts = [each for each in axes if isinstance(each, Choices) and set(each.keys) & set(axis.keys)]
    return any(agrees(option, own) for part in parts for option in part.options)


def _draw(space: Space, exclude: Partials, seed: int, number: int) -> Mapping[str, Any] | None:
    """Draw one point, again while it is excluded. None after `MAX_ATTEMPTS`."""
    # Python's generator seeded with text gives the same numbers in every version and on every machine.
    for attempt in range(MAX_ATTEMPTS):
        drawn = {
            axis.name: axis.at(random.Random(f"{seed} {axis.name} {number} {attempt}").random()) for axis in space.axes
        }
        values = space.kept(drawn)
        if not any(agrees(values, partial) for partial in exclude):
            return values
    return None
