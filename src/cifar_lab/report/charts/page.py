"""Answers to the interactive charts of report.html: what report.js draws, and the words that say the same.

A chart is a mapping with a `kind`; `report.js` has a function for each kind. Texts are shortened here and
never trusted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row
from cifar_lab.report.charts.interactive import Chart, scale, short
from cifar_lab.report.columns import digits, interval_words, signed

MOST_MARKS = 100
"""Small marks of an arm; its mean and interval are over all its runs."""
FEWEST_POINTS_WIDE = 2.0
"""Least width of an accuracy scale, percentage points: noise is not blown up."""


def accuracy_chart(answer: Answer, data: DataSet | None) -> Chart | None:
    """Every run, mean and interval of each arm; None without tested runs."""
    rows: list[dict[str, Any]] = [
        {
            "label": short(row.label),
            "style": _style(answer, place),
            "words": _accuracy_words(row),
            "values": [[seed, _percent(value)] for seed, value in row.values[:MOST_MARKS]],
            "mean": None if row.mean is None else _percent(row.mean),
            "low": None if row.interval is None else _percent(row.interval[0]),
            "high": None if row.interval is None else _percent(row.interval[1]),
        }
        for place, row in enumerate(answer.rows)
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
    """Each arm minus the control with its interval and a mark a pair; None where nothing can be compared."""
    pairs = [(place, answer.comparison(row)) for place, row in enumerate(answer.rows)]
    compared = [_difference_row(answer, place, found) for place, found in pairs if found is not None]
    ends = [end for row in compared for end in (row["low"], row["high"], row["mean"], *(v for _, v in row["values"]))]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    reference = {"label": short(answer.control.label), "style": -1, "words": "control", "values": [], "mean": None}
    rows = [{**reference, "low": None, "high": None}, *compared]
    inside = scale([*known, -min_effect, min_effect], FEWEST_POINTS_WIDE, -100, 100)
    spec = {"kind": "difference", "rows": rows, "min_effect": min_effect, "range": inside}
    said = "; ".join(f"{row['label']} {row['words']}" for row in compared)
    alt = f"Difference of each arm to the control in percentage points with its 95 % interval. {said}."
    return Chart(spec, alt, 70 + 58 * len(rows))


def cost_charts(answer: Answer) -> dict[str, Chart]:
    """Accuracy against seconds a run and, where they differ, against parameters."""
    rows = [(place, row) for place, row in enumerate(answer.rows) if row.mean is not None]
    seconds = [(place, row, row.seconds) for place, row in rows]
    parameters = [(place, row, row.parameters) for place, row in rows]
    found = {
        "seconds": _cost_chart(answer, seconds, "training time of a run, seconds", "s"),
        "parameters": _cost_chart(answer, parameters, "trainable parameters", "parameters"),
    }
    return {name: chart for name, chart in found.items() if chart is not None}


def _cost_chart(answer: Answer, costs: Sequence[tuple[int, Row, float | None]], title: str, unit: str) -> Chart | None:
    points: list[dict[str, Any]] = [
        {
            "label": short(row.label),
            "style": _style(answer, place),
            "x": round(cost, 3),
            "y": _percent(row.mean or 0.0),
            "low": None if row.interval is None else _percent(row.interval[0]),
            "high": None if row.interval is None else _percent(row.interval[1]),
        }
        for place, row, cost in costs
        if cost is not None
    ]
    if len({point["x"] for point in points}) < 2:
        return None
    said = "; ".join(f"{point['label']} {point['y']:.1f} % at {point['x']:,.4g} {unit}" for point in points)
    spec = {"kind": "cost", "title": title, "unit": unit, "points": points}
    return Chart(spec, f"Test accuracy against {title}. {said}.", 320)


# --- parts ------------------------------------------------------------------------------------------------------------


def _style(answer: Answer, place: int) -> int:
    """-1 for the control; arms count from 0 in the order of the rows."""
    return -1 if answer.rows[place].is_control else place - 1


def _difference_row(answer: Answer, place: int, found: Comparison) -> dict[str, Any]:
    return {
        "label": short(answer.rows[place].label),
        "style": _style(answer, place),
        "words": difference_words(found),
        "values": [
            [seed, round(gap, 3)] for seed, gap in [*zip(found.seeds, found.differences, strict=True)][:MOST_MARKS]
        ],
        "mean": None if found.points is None else round(found.points, 3),
        "low": None if found.low is None else round(found.low, 3),
        "high": None if found.high is None else round(found.high, 3),
    }


def difference_words(found: Comparison) -> str:
    """`+1.2 pp (0.4 to 2.0)`; what is missing where it cannot be said."""
    if found.points is None:
        return "not comparable yet"
    if found.low is None or found.high is None:
        return f"{signed(found.points, digits(found.points))} pp, no interval"
    places = digits(found.points, found.low, found.high)
    return f"{signed(found.points, places)} pp ({interval_words(found.low, found.high, places)})"


def _accuracy_words(row: Row) -> str:
    if row.mean is None:
        return "no runs yet" if row.is_missing else f"{len(row.diverged)} diverged"
    runs = "one run" if row.n == 1 else f"n = {row.n}"
    lost = f", {len(row.diverged)} diverged" if row.diverged else ""
    return f"{100 * row.mean:.1f} % ({runs}{lost})"


def _percent(share: float) -> float:
    return round(100 * share, 4)
