"""Interactive charts of report.html: the base of all, and those of accuracy, difference and cost.

A chart is a mapping with a `kind`, and `report.js` has a function for each kind. Texts are shortened here and never
trusted there. Each chart has a text alternative that says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import plain
from cifar_lab.report.cells import chart_difference

MOST_MARKS = 100
"""Small marks per arm. Its mean and interval are over all its runs."""
FEWEST_POINTS_WIDE = 2.0
"""Least width of an accuracy scale, percentage points, so that noise is not magnified."""
NAME_LETTERS = 60
"""Length of a name on a chart. The table beside it has the whole."""


@dataclass(frozen=True)
class Chart:
    """Chart of the page."""

    spec: Mapping[str, Any]
    """Content, as JSON for report.js."""
    alt: str
    """Text alternative."""
    height: int
    """Height in CSS pixels."""


def short(text: str, letters: int = NAME_LETTERS) -> str:
    """Cut a text to one line of at most so many letters."""
    line = plain(text)
    return line if len(line) <= letters else line[: letters - 1].rstrip() + "…"


def scale(known: Sequence[float], least: float, bottom: float, top: float) -> list[float]:
    """(start, end) of a scale with all numbers and a margin, inside its bounds.

    Args:
        least: smallest width without a margin.
        bottom, top: bounds.
    """
    low, high = min(known), max(known)
    room = max(0.08 * (high - low), (least - (high - low)) / 2, 0.25)
    digits = 10 if high - low < 5 else 1
    return [max(bottom, floor((low - room) * digits) / digits), min(top, ceil((high + room) * digits) / digits)]


def accuracy_chart(answer: Answer, data: DataSet | None) -> Chart | None:
    """Every run, mean and interval of each arm. None without tested runs."""
    rows: list[dict[str, Any]] = [
        {
            "label": short(row.label),
            "style": _style(answer, index),
            "words": _accuracy_words(row),
            "values": [[seed, _percent(value)] for seed, value in row.values[:MOST_MARKS]],
            "mean": None if row.mean is None else _percent(row.mean),
            **_interval(row),
        }
        for index, row in enumerate(answer.rows)
    ]
    ends = [end for row in rows for end in (row["low"], row["high"], *(value for _, value in row["values"]))]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    said = "; ".join(f"{row['label']} {row['words']}" for row in rows)
    spec = {
        "kind": "accuracy",
        "rows": rows,
        "chance": None if data is None else _percent(data.chance),
        "range": scale(known, FEWEST_POINTS_WIDE, 0, 100),
    }
    return Chart(spec, f"Test accuracy of each arm, a mark a run. {said}.", 70 + 58 * len(rows))


def difference_chart(answer: Answer, min_effect: float) -> Chart | None:
    """Each arm minus the control with its interval and a mark per pair. None where nothing can be compared."""
    pairs = [(index, answer.comparison(row)) for index, row in enumerate(answer.rows)]
    compared = [_difference_row(answer, index, found) for index, found in pairs if found is not None]
    ends = [end for row in compared for end in (row["low"], row["high"], row["mean"], *(v for _, v in row["values"]))]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    reference = {"label": short(answer.control.label), "style": -1, "words": "control", "values": [], "mean": None}
    rows = [{**reference, "low": None, "high": None}, *compared]
    inside = scale([*known, -min_effect, min_effect], FEWEST_POINTS_WIDE, -100, 100)
    spec = {"kind": "difference", "rows": rows, "min_effect": min_effect, "range": inside}
    said = "; ".join(f"{row['label']} {row['words']}" for row in compared)
    alt = f"Difference of each arm to the control in percentage points with its interval. {said}."
    return Chart(spec, alt, 70 + 58 * len(rows))


def cost_charts(answer: Answer) -> dict[str, Chart]:
    """Accuracy against seconds per run and, where they differ, against parameters."""
    rows = [(index, row) for index, row in enumerate(answer.rows) if row.mean is not None]
    seconds = [(index, row, row.seconds) for index, row in rows]
    parameters = [(index, row, row.parameters) for index, row in rows]
    found = {
        "seconds": _cost_chart(answer, seconds, "training time of a run, seconds", "s"),
        "parameters": _cost_chart(answer, parameters, "trainable parameters", "parameters"),
    }
    return {name: chart for name, chart in found.items() if chart is not None}


def _cost_chart(answer: Answer, costs: Sequence[tuple[int, Row, float | None]], title: str, unit: str) -> Chart | None:
    points: list[dict[str, Any]] = [
        {
            "label": short(row.label),
            "style": _style(answer, index),
            "x": round(cost, 3),
            "y": _percent(row.mean or 0.0),
            **_interval(row),
        }
        for index, row, cost in costs
        if cost is not None
    ]
    if len({point["x"] for point in points}) < 2:
        return None
    said = "; ".join(f"{point['label']} {point['y']:.1f} % at {point['x']:,.4g} {unit}" for point in points)
    spec = {"kind": "cost", "title": title, "unit": unit, "points": points}
    return Chart(spec, f"Test accuracy against {title}. {said}.", 320)


# --- parts ------------------------------------------------------------------------------------------------------------


def _style(answer: Answer, index: int) -> int:
    """Index of colour and symbol: -1 for the control, arms from 0 in the order of the rows."""
    return -1 if answer.rows[index].is_control else index - 1


def _difference_row(answer: Answer, index: int, found: Comparison) -> dict[str, Any]:
    return {
        "label": short(answer.rows[index].label),
        "style": _style(answer, index),
        "words": chart_difference(found, " pp"),
        "values": [
            [seed, round(gap, 3)] for seed, gap in [*zip(found.seeds, found.differences_pp, strict=True)][:MOST_MARKS]
        ],
        "mean": _rounded(found.difference_pp),
        "low": _rounded(found.low_pp),
        "high": _rounded(found.high_pp),
        "level": round(100 * found.level, 4),
    }


def _accuracy_words(row: Row) -> str:
    if row.mean is None:
        return "no runs yet" if row.is_missing else f"{len(row.diverged)} diverged"
    runs = "one run" if row.n == 1 else f"n = {row.n}"
    lost = f", {len(row.diverged)} diverged" if row.diverged else ""
    return f"{100 * row.mean:.1f} % ({runs}{lost})"


def _interval(row: Row) -> dict[str, float | None]:
    low, high = row.interval or (None, None)
    return {"low": low and _percent(low), "high": high and _percent(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _percent(share: float) -> float:
    return round(100 * share, 4)
