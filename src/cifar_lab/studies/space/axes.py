"""Axes of a space: lists of values and ranges of numbers, with the mapping from a share of an axis to a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cifar_lab.config.io.setting_keys import takes_decimals
from cifar_lab.config.sheets import Range, SweepSheet, axis_parts

FINENESS = 4
"""Decimal places to which the width of a range is resolved. Values are rounded to keep labels short, and so that a
library that differs in the last bit does not change a run id."""


@dataclass(frozen=True)
class Choices:
    """Axis with a list of options. An option sets one key, or the keys of a paired group."""

    name: str
    """The key, `paired[0]`, or such as `optimizer.lr[1]` for the second part of a key."""
    options: tuple[Mapping[str, Any], ...]
    when: Mapping[str, Any] = field(default_factory=dict)
    """Condition of the axis: the value, or list of values, of other keys. Empty for an axis of every point."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that the axis sets."""
        return tuple(self.options[0])

    def at(self, share: float) -> Mapping[str, Any]:
        """Option at a share of the axis in [0, 1)."""
        return self.options[int(share * len(self.options))]


@dataclass(frozen=True)
class Interval:
    """Axis with a range of numbers, both ends included."""

    name: str
    """The key, or such as `optimizer.lr[1]` for the second part of a key."""
    low: float
    high: float
    log: bool
    whole: bool
    """Whole numbers only."""
    when: Mapping[str, Any] = field(default_factory=dict)
    """As that of `Choices`."""

    @property
    def key(self) -> str:
        """Key that the axis sets."""
        return self.name.partition("[")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The same as a tuple."""
        return (self.key,)

    def at(self, share: float) -> Mapping[str, Any]:
        """Value at a share of the axis in [0, 1), on a linear or logarithmic scale."""
        half = 0.5 if self.whole else 0.0  # each whole number has an equal stretch, those at the ends too
        low, high = self.low - half, self.high + half
        number = low * (high / low) ** share if self.log else low + (high - low) * share
        return {self.key: self.rounded(number)}

    def rounded(self, number: float) -> int | float:
        """Value of the axis nearest to a number."""
        if self.whole:
            return int(min(max(round(number), self.low), self.high))
        places = FINENESS - math.floor(math.log10(self.high - self.low))
        if self.log:
            places = max(places, FINENESS - 1 - math.floor(math.log10(number)))
        return float(min(max(round(number, places), self.low), self.high))


Axis = Choices | Interval


def axes_of(sheet: SweepSheet) -> list[Axis]:
    """Axes of a sweep in file order: those of `space`, then the groups of `paired`."""
    axes: list[Axis] = []
    for key, stated in sheet.space.items():
        for number, part in enumerate(axis_parts(stated)):
            name = f"{key}[{number}]" if number else key
            if isinstance(part, Range):
                whole = not takes_decimals(key, (part.min, part.max))
                axes.append(Interval(name, part.min, part.max, part.log, whole, part.when))
            else:
                axes.append(Choices(name, tuple({key: value} for value in part.values), part.when))
    for number, (group, when) in enumerate(sheet.groups):
        rows = tuple(dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True))
        axes.append(Choices(f"paired[{number}]", rows, when))
    return axes


def axis_keys(sheet: SweepSheet) -> list[tuple[str, str]]:
    """(section, dotted key) of everything that varies. The section is `space` or such as `paired[0]`."""
    keys = [("space", key) for key in sheet.space]
    return keys + [(f"paired[{i}]", key) for i, (group, _) in enumerate(sheet.groups) for key in group]
