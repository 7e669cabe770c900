"""The axes of a space: lists of values, and ranges of numbers. How a share of an axis becomes a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.config.io.setting_keys import takes_decimals
from cifar_lab.config.sheets import Range, SweepSheet

FINENESS = 4
"""Decimal places to which the width of a range is resolved. Values are rounded, so that labels are short and a library
that differs in the last bit names no other run."""


@dataclass(frozen=True)
class Choices:
    """An axis that is a list; each option sets one key, or the keys of a group that change together."""

    name: str
    """The key, or `paired[0]`."""
    options: tuple[Mapping[str, Any], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """What it sets."""
        return tuple(self.options[0])

    def at(self, share: float) -> Mapping[str, Any]:
        """The option at a share of the axis, from 0 to below 1."""
        return self.options[int(share * len(self.options))]


@dataclass(frozen=True)
class Interval:
    """An axis that is a range of numbers, both ends included."""

    name: str
    """The key."""
    low: float
    high: float
    log: bool
    whole: bool
    """Whole numbers only."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What it sets."""
        return (self.name,)

    def at(self, share: float) -> Mapping[str, Any]:
        """The value at a share of the axis, from 0 to below 1: evenly, or evenly on a logarithmic scale."""
        half = 0.5 if self.whole else 0.0  # each whole number has a stretch of its own, those at the ends too
        low, high = self.low - half, self.high + half
        number = low * (high / low) ** share if self.log else low + (high - low) * share
        return {self.name: self.rounded(number)}

    def rounded(self, number: float) -> int | float:
        """The value that is tried for a number of this range."""
        if self.whole:
            return int(min(max(round(number), self.low), self.high))
        places = FINENESS - math.floor(math.log10(self.high - self.low))
        if self.log:
            places = max(places, FINENESS - 1 - math.floor(math.log10(number)))
        return float(min(max(round(number, places), self.low), self.high))


Axis = Choices | Interval


def axes_of(sheet: SweepSheet) -> list[Axis]:
    """The axes of a sweep in the order of its file: those of `space`, then the groups of `paired`."""
    axes: list[Axis] = []
    for key, stated in sheet.space.items():
        if isinstance(stated, Range):
            whole = not takes_decimals(key, (stated.min, stated.max))
            axes.append(Interval(key, stated.min, stated.max, stated.log, whole))
        else:
            axes.append(Choices(key, tuple({key: value} for value in stated)))
    for number, group in enumerate(sheet.paired):
        rows = tuple(dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True))
        axes.append(Choices(f"paired[{number}]", rows))
    return axes


def agrees(values: Mapping[str, Any], partial: Mapping[str, Any]) -> bool:
    """Whether a point has all values of a partial one."""
    return all(_plain(values[key]) == _plain(value) for key, value in partial.items())


def without_repeats(options: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The options, each once: a value that a list states twice is not drawn twice as often."""
    seen: list[Any] = []
    kept = []
    for option in options:
        plain = {key: _plain(value) for key, value in option.items()}
        if plain not in seen:
            seen.append(plain)
            kept.append(option)
    return tuple(kept)


def _plain(value: Any) -> Any:
    """For comparison: true is not 1, a tuple is a list, 1 is 1.0."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value
