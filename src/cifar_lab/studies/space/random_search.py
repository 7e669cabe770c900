"""Points drawn from a space (Bergstra and Bengio 2012, "Random search for hyper-parameter optimization")."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.axes import Axis, Choices, agrees, axes_of, without_repeats
from cifar_lab.studies.space.labels import dotted
from cifar_lab.studies.space.points import raise_any

MOST_ATTEMPTS = 1_000
"""Draws for one point until one is not excluded."""


def draw_points(sheet: SweepSheet, trials: int, where: str) -> list[Mapping[str, Any]]:
    """What each of the points sets. More trials only add points, and another axis leaves the others' draws as they are.

    Raises:
        SettingsError: an entry of `exclude` agrees with no point, or they leave nearly nothing.
    """
    axes = drawn_axes(sheet)
    raise_any(where, exclusion_problems(axes, sheet.exclude))
    drawn = [_draw(axes, sheet.exclude, sheet.search.seed, number) for number in range(trials)]
    kept = [values for values in drawn if values is not None]
    if len(kept) < trials:
        raise_any(where, [("exclude", "takes out nearly every point; leave more of them")])
    return kept


def drawn_axes(sheet: SweepSheet) -> list[Axis]:
    """The axes, each option of a list once."""
    return [
        replace(axis, options=without_repeats(axis.options)) if isinstance(axis, Choices) else axis
        for axis in axes_of(sheet)
    ]


def exclusion_problems(axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Key and message of each entry that can take out nothing: some list has none of its values."""
    message = "agrees with no point; check its values against space and paired"
    return [
        (f"exclude[{number}]", f"{dotted(partial)} {message}")
        for number, partial in enumerate(exclude)
        if not all(_has(axis, partial) for axis in axes if isinstance(axis, Choices))
    ]


def _has(axis: Choices, partial: Mapping[str, Any]) -> bool:
    """Whether an option agrees with the part of an exclusion that concerns the axis."""
    part = {key: value for key, value in partial.items() if key in axis.options[0]}
    return any(agrees(option, part) for option in axis.options)


def _draw(
    axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]], seed: int, number: int
) -> Mapping[str, Any] | None:
    """The draw of one point, repeated while it is excluded; None where all attempts were.

    Each axis, point and attempt has a stream of its own. A generator of Python's that is seeded with text gives the
    same numbers in each version and on each machine.
    """
    for attempt in range(MOST_ATTEMPTS):
        values: dict[str, Any] = {}
        for axis in axes:
            values |= axis.at(random.Random(f"{seed} {axis.name} {number} {attempt}").random())
        if not any(agrees(values, partial) for partial in exclude):
            return values
    return None
