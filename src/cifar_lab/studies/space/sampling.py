"""Combinations of axis values: the full grid, or random draws.

Random search: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.axes import Axis, Choices, agrees, axes_of, drawn_axes
from cifar_lab.studies.space.points import dotted, raise_any

MAX_ATTEMPTS = 1_000
"""Draws per point until one is not excluded."""

NO_SUCH_POINT = "agrees with no point; check its values against space and paired"


def grid_combinations(sheet: SweepSheet, where: str) -> tuple[list[Mapping[str, Any]], int]:
    """Every combination that `exclude` leaves, and the number that it removed.

    Raises:
        SettingsError: an entry of `exclude` agrees with no combination.
    """
    combinations = list(_product(axes_of(sheet)))
    excluded_by = [[agrees(values, partial) for partial in sheet.exclude] for values in combinations]
    unused = [i for i in range(len(sheet.exclude)) if not any(row[i] for row in excluded_by)]
    raise_any(where, [(f"exclude[{i}]", f"{dotted(sheet.exclude[i])} {NO_SUCH_POINT}") for i in unused])
    kept = [values for values, row in zip(combinations, excluded_by, strict=True) if not any(row)]
    return kept, len(combinations) - len(kept)


def _product(axes: Sequence[Axis]) -> Iterator[Mapping[str, Any]]:
    """Every combination, the last axis fastest. Empty without axes."""
    lists = [axis.options for axis in axes if isinstance(axis, Choices)]
    for combination in itertools.product(*lists) if lists else ():
        yield {key: value for option in combination for key, value in option.items()}


def draw_points(sheet: SweepSheet, trials: int, where: str) -> list[Mapping[str, Any]]:
    """Draw the values of `trials` points.

    A larger number of trials only appends points. A new axis leaves the draws of the other axes unchanged.

    Raises:
        SettingsError: an entry of `exclude` agrees with no point, or `exclude` leaves nearly nothing.
    """
    axes = drawn_axes(sheet)
    raise_any(where, _exclusion_problems(axes, sheet.exclude))
    drawn = [_draw(axes, sheet.exclude, sheet.search.seed, number) for number in range(trials)]
    kept = [values for values in drawn if values is not None]
    if len(kept) < trials:
        raise_any(where, [("exclude", "takes out nearly every point; leave more of them")])
    return kept


def _exclusion_problems(axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Key and message of each entry that can exclude nothing, because a list lacks its value."""
    return [
        (f"exclude[{number}]", f"{dotted(partial)} {NO_SUCH_POINT}")
        for number, partial in enumerate(exclude)
        if not all(_has(axis, partial) for axis in axes if isinstance(axis, Choices))
    ]


def _has(axis: Choices, partial: Mapping[str, Any]) -> bool:
    """Whether an option agrees with the keys of an exclusion that the axis sets."""
    own = {key: value for key, value in partial.items() if key in axis.options[0]}
    return any(agrees(option, own) for option in axis.options)


def _draw(
    axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]], seed: int, number: int
) -> Mapping[str, Any] | None:
    """Draw one point, again while it is excluded. None after `MAX_ATTEMPTS`."""
    # Each axis, point and attempt has its random stream. Python's generator seeded with text gives the same numbers in
    # every version and on every machine.
    for attempt in range(MAX_ATTEMPTS):
        values: dict[str, Any] = {}
        for axis in axes:
            values |= axis.at(random.Random(f"{seed} {axis.name} {number} {attempt}").random())
        if not any(agrees(values, partial) for partial in exclude):
            return values
    return None
