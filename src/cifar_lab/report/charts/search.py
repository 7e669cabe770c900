"""A search to its charts: every point as a line through its settings, and the effect of each axis alone."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.analysis.breakdowns import setting_words
from cifar_lab.analysis.search_points import Axis, SearchedPoint
from cifar_lab.report.charts.interactive import Chart, scale, short

MOST_LINES = 500
"""Points of a search that are drawn; the best, where there are more."""


def parallel_chart(tried: Sequence[SearchedPoint], axes: Sequence[Axis]) -> Chart | None:
    """A line a point of the search through its settings to its validation accuracy; None below two points."""
    finished = sorted((p for p in tried if p.accuracy is not None), key=lambda p: -(p.accuracy or 0.0))
    shown = [point for point in finished if all(axis.key in point.values for axis in axes)][:MOST_LINES]
    if len(shown) < 2 or not axes:
        return None
    at = [{value.words: place for place, value in enumerate(axis.values)} for axis in axes]
    points = [
        {
            "name": short(point.name, 80),
            "at": [where[setting_words(point.values[axis.key])] for axis, where in zip(axes, at, strict=True)],
            "value": round(point.accuracy or 0.0, 3),
        }
        for point in reversed(shown)
    ]
    spec = {
        "kind": "parallel",
        "measure": "validation",
        "axes": [{"name": short(axis.key, 22), "values": [short(v.words, 14) for v in axis.values]} for axis in axes],
        "points": points,
    }
    best = shown[0]
    said = f"The best, {short(best.name, 80)}, has {best.accuracy:.1f} %."
    alt = f"A line each of {len(shown):,} points of the search. {said}"
    return Chart(spec, alt, 460)


def effect_chart(axis: Axis, inside: Sequence[float]) -> Chart:
    """Mean validation accuracy along one axis, the others averaged."""
    spec = {
        "kind": "effect",
        "name": short(axis.key, 28),
        "ordered": axis.is_ordered,
        "values": [
            {
                "label": short(value.words, 12),
                "mean": round(value.mean, 3),
                "n": len(value.each),
                "each": [round(one, 2) for one in value.each[:MOST_LINES]],
            }
            for value in axis.values
        ],
        "range": list(inside),
    }
    said = ", ".join(f"{short(value.words, 24)}: {value.mean:.1f} %" for value in axis.values)
    return Chart(spec, f"Mean validation accuracy by {axis.key}, the other settings averaged: {said}.", 240)


def effect_scale(axes: Sequence[Axis]) -> list[float]:
    """One scale for all axes, so that their effects compare by eye."""
    return scale([one for axis in axes for value in axis.values for one in value.each], 1.0, 0, 100)
