"""Charts of the points of a search in report.html, each setting on its own scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from cifar_lab.analysis.search_points import Axis, SearchedPoint, best_points
from cifar_lab.core.text import setting_words
from cifar_lab.report.charts.chart import Chart, short

MOST_LINES = 500
"""Points of a search that are drawn, the best where it has more."""
MOST_TICKS = 8
"""Values of a setting up to which each has a tick and a mean."""
_LOG_RATIO = 8
"""Ratio of the largest to the smallest value from which a logarithmic scale is considered."""
ABSENT = "–"
"""Shown for a setting that a point does not have."""
_ABSENT_ROOM = 0.12
"""Share of an axis below its values, for the points without the setting."""
_LOG_STEPS = ((1,), (1, 3), (1, 2, 5))
_FEWEST_TICKS = 4


@dataclass(frozen=True)
class AxisScale:
    """Places of a setting's values from 0 to 1, and its ticks."""

    places: Mapping[str, float]
    """Place of each value, by its words."""
    ticks: tuple[tuple[float, str], ...]
    """(place, words)."""
    is_log: bool = False


def axis_scale(axis: Axis, points: Sequence[SearchedPoint]) -> AxisScale:
    """Scale of a setting: logarithmic or linear for numbers, equal steps for other values."""
    raw = {
        setting_words(point.values[axis.key]): point.values[axis.key] for point in points if axis.key in point.values
    }
    words = [value.words for value in axis.values]
    if not axis.is_ordered:
        places = {each: index / (len(words) - 1) for index, each in enumerate(words)}
        return AxisScale(places, tuple((place, each) for each, place in places.items()))
    numbers = {each: float(raw[each]) for each in words}
    is_log = _is_log(sorted(numbers.values()))
    low, high = (_at(end, is_log) for end in (min(numbers.values()), max(numbers.values())))
    places = {each: (_at(number, is_log) - low) / (high - low) for each, number in numbers.items()}
    if len(words) <= MOST_TICKS:
        ticks = _apart([(place, each) for each, place in places.items()])
    else:
        ends = (min(numbers.values()), max(numbers.values()))
        ticks = [((_at(tick, is_log) - low) / (high - low), f"{tick:g}") for tick in _round_numbers(*ends, is_log)]
    return AxisScale(places, tuple(ticks), is_log)


def _with_absent(axis: Axis, points: Sequence[SearchedPoint]) -> AxisScale:
    """Scale of a setting that only some points have. The others are at its lower end."""
    scale = axis_scale(axis, points)
    places = {words: _ABSENT_ROOM + (1 - _ABSENT_ROOM) * place for words, place in scale.places.items()}
    ticks = [(_ABSENT_ROOM + (1 - _ABSENT_ROOM) * place, words) for place, words in scale.ticks]
    return AxisScale({ABSENT: 0.0, **places}, ((0.0, ABSENT), *ticks), scale.is_log)


def _is_log(numbers: Sequence[float]) -> bool:
    """Whether the numbers lie more evenly on a logarithmic scale than on a linear one."""
    low, high = numbers[0], numbers[-1]
    middle = (numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2]) / 2
    if low <= 0 or high / low < _LOG_RATIO:
        return False
    linear, logarithmic = (middle - low) / (high - low), log10(middle / low) / log10(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _at(number: float, is_log: bool) -> float:
    return log10(number) if is_log else number


def _round_numbers(low: float, high: float, is_log: bool) -> list[float]:
    """Ticks inside a range: powers of ten where there are enough, else more of their multiples."""
    if is_log:
        decades = range(floor(log10(low)), floor(log10(high)) + 1)
        found = [[m * 10.0**p for p in decades for m in steps if low <= m * 10.0**p <= high] for steps in _LOG_STEPS]
        return next((ticks for ticks in found if len(ticks) >= _FEWEST_TICKS), found[-1])
    size = 10.0 ** floor(log10((high - low) / 2))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= 5)
    return [round(step * k, 12) for k in range(floor(low / step), floor(high / step) + 1) if step * k >= low]


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Ticks without those that would touch the one before."""
    kept: list[tuple[float, str]] = []
    for place, words in sorted(ticks):
        if not kept or place - kept[-1][0] >= 0.05:
            kept.append((place, words))
    return kept


def parallel_chart(searched: Sequence[SearchedPoint], axes: Sequence[Axis]) -> Chart | None:
    """A line per point of the search, through its settings to its validation accuracy. None below two points."""
    shown = [point for point in best_points(searched) if any(axis.key in point.values for axis in axes)][:MOST_LINES]
    if len(shown) < 2 or not axes:
        return None
    scales = [
        axis_scale(axis, searched) if all(axis.key in point.values for point in shown) else _with_absent(axis, searched)
        for axis in axes
    ]
    points = [
        {
            "name": short(point.name, 80),
            "at": [
                round(scale.places[setting_words(point.values.get(axis.key, ABSENT))], 4)
                for axis, scale in zip(axes, scales, strict=True)
            ],
            "value": round(point.accuracy or 0.0, 3),
        }
        for point in reversed(shown)
    ]
    spec = {
        "kind": "parallel",
        "measure": "validation accuracy",
        "axes": [
            {"name": short(axis.key, 26), "log": scale.is_log, "ticks": _ticks(scale)}
            for axis, scale in zip(axes, scales, strict=True)
        ],
        "points": points,
    }
    best = shown[0]
    said = f"The best, {short(best.name, 80)}, has {best.accuracy:.1f} %."
    return Chart(spec, f"One line per point, {len(shown):,} points of the search. {said}", 460)


def effect_chart(axis: Axis, points: Sequence[SearchedPoint], inside: Sequence[float]) -> Chart:
    """Validation accuracy along one axis, with its mean per value where the values are few."""
    scale = axis_scale(axis, points)
    few = len(axis.values) <= MOST_TICKS
    spec = {
        "kind": "effect",
        "name": short(axis.key, 28) + (" (log scale)" if scale.is_log else ""),
        "ordered": axis.is_ordered,
        "ticks": _ticks(scale),
        "values": [
            {
                "at": round(scale.places[value.words], 4),
                "label": short(value.words, 24),
                "mean": round(value.mean, 3) if few else None,
                "n": len(value.each),
                "each": [round(one, 2) for one in value.each[:MOST_LINES]],
            }
            for value in axis.values
        ],
        "range": list(inside),
    }
    shown = axis.values if few else (max(axis.values, key=lambda value: value.mean),)
    said = ", ".join(f"{short(value.words, 24)}: {value.mean:.1f} %" for value in shown)
    words = "mean validation accuracy by" if few else "best validation accuracy along"
    return Chart(spec, f"{words.capitalize()} {axis.key}: {said}.", 240)


def effect_range(axes: Sequence[Axis]) -> tuple[float, float]:
    """Common scale of all axes, so that their effects can be compared."""
    known = [one for axis in axes for value in axis.values for one in value.each]
    room = max(0.08 * (max(known) - min(known)), 0.5)
    return max(0.0, min(known) - room), min(100.0, max(known) + room)


def _ticks(scale: AxisScale) -> list[list[Any]]:
    return [[round(place, 4), short(words, 14)] for place, words in scale.ticks]
