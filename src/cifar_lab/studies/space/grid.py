"""Every combination of lists: the points of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.axes import Axis, Choices, agrees, axes_of
from cifar_lab.studies.space.labels import dotted
from cifar_lab.studies.space.points import raise_any


def grid_combinations(sheet: SweepSheet, where: str) -> tuple[list[Mapping[str, Any]], int]:
    """(what each point sets, how many combinations `exclude` took out).

    Raises:
        SettingsError: an entry of `exclude` agrees with no combination.
    """
    combinations = list(_product(axes_of(sheet)))
    kept = _after_exclusions(combinations, sheet.exclude, where)
    return kept, len(combinations) - len(kept)


def _product(axes: Sequence[Axis]) -> Iterator[Mapping[str, Any]]:
    """Every combination, the last axis fastest; none where there is no axis."""
    lists = [axis.options for axis in axes if isinstance(axis, Choices)]
    for combination in itertools.product(*lists) if lists else ():
        yield {key: value for part in combination for key, value in part.items()}


def _after_exclusions(
    combinations: Sequence[Mapping[str, Any]], exclude: Sequence[Mapping[str, Any]], where: str
) -> list[Mapping[str, Any]]:
    """The combinations that agree with no entry of `exclude`; an entry without any effect is a mistake."""
    hits = [[agrees(values, partial) for partial in exclude] for values in combinations]
    idle = [i for i in range(len(exclude)) if not any(row[i] for row in hits)]
    message = "agrees with no point; check its values against space and paired"
    raise_any(where, [(f"exclude[{i}]", f"{dotted(exclude[i])} {message}") for i in idle])
    return [values for values, row in zip(combinations, hits, strict=True) if not any(row)]
