"""Charts of report.html: those of accuracy, difference and cost.

The accuracy and the difference of a question are the two panels of its figure, from the same `Drawing` and with the
same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cifar_lab.analysis.answers import VERDICT_MARKS, Answer, Comparison
from cifar_lab.report.cells import chart_difference, scaled_interval
from cifar_lab.report.charts.chart import Chart, short
from cifar_lab.report.charts.drawing import Drawing, count_words

if TYPE_CHECKING:
    from cifar_lab.analysis.summary import Row

MOST_MARKS = 100
"""Small marks per arm. Its mean and interval are over all its runs."""
ROW_PIXELS, FRAME_PIXELS = 58, 52
"""Height of a row of a figure and of what surrounds the rows, CSS pixels, as charts.js draws them."""


def style_of(rows: Sequence[Row], index: int) -> int:
    """Index of colour and symbol: -1 for the control, arms from 0 in the order of the rows."""
    return -1 if rows[index].is_control else index - 1


def accuracy_chart(drawing: Drawing) -> Chart | None:
    """Mean, interval and every run of each arm. None without tested runs."""
    rows: list[dict[str, Any]] = [_accuracy_row(drawing.rows, index) for index in range(len(drawing.rows))]
    known = [end for row in rows for end in (row["high"], *(value for _, value in row["values"])) if end is not None]
    if not known:
        return None
    said = "; ".join(f"{row['label']} {row['note'] or row['shown']} ({row['count']})" for row in rows)
    chance = None if drawing.chance is None else round(100 * drawing.chance, 4)
    spec = {
        "kind": "accuracy",
        "rows": rows,
        "chance": chance,
        "chance_words": None if chance is None else f"chance {chance:.3g} %",
        "end": _end(drawing, [chance or 0.0, *known]),
        "unit": drawing.scale.unit,
        "digits": drawing.scale.digits,
    }
    quantity = drawing.quantity[:1].lower() + drawing.quantity[1:]
    return Chart(spec, f"Mean {quantity} of each arm, with each run. {said}.", _height(rows))


def difference_chart(drawing: Drawing) -> Chart | None:
    """Each arm minus the control with its interval and a mark per pair. None where nothing can be compared."""
    compared = drawing.compared
    if not compared:
        return None
    rows = [_difference_row(drawing.rows, index, compared.get(index)) for index in range(len(drawing.rows))]
    said = "; ".join(f"{row['label']} {row['words']}" for row in rows if row["words"])
    unit = drawing.scale.difference_unit
    spec = {
        "kind": "difference", "rows": rows, "min_effect": drawing.min_effect, "unit": unit,
        "digits": drawing.scale.digits,
    }  # fmt: skip
    words = "percentage points" if drawing.scale.is_share else unit
    alt = f"Difference of each arm to the control in {words} with its interval. {said}."
    return Chart(spec, alt, _height(rows))


def cost_charts(answer: Answer) -> dict[str, Chart]:
    """Accuracy against seconds per run and, where they differ, against parameters."""
    rows = [(index, row) for index, row in enumerate(answer.rows) if row.mean is not None]
    seconds = [(index, row, row.seconds) for index, row in rows]
    parameters = [(index, row, row.parameters) for index, row in rows]
    found = {
        "seconds": _cost_chart(answer, seconds, "training time per run (seconds)", "s"),
        "parameters": _cost_chart(answer, parameters, "trainable parameters", "parameters"),
    }
    return {name: chart for name, chart in found.items() if chart is not None}


def _cost_chart(answer: Answer, costs: Sequence[tuple[int, Row, float | None]], title: str, unit: str) -> Chart | None:
    points: list[dict[str, Any]] = [
        {
            "label": short(row.label),
            "style": style_of(answer.rows, index),
            "x": round(cost, 3),
            "y": _shown(row, row.mean or 0.0),
            "words": f"{short(row.label)}\n{100 * (row.mean or 0.0):.2f} % at {cost:,.4g} {unit}",
            **_interval(row),
        }
        for index, row, cost in costs
        if cost is not None
    ]
    if len({point["x"] for point in points}) < 2:
        return None
    said = "; ".join(f"{point['label']} {point['y']:.1f} % at {point['x']:,.4g} {unit}" for point in points)
    spec = {"kind": "cost", "title": title, "points": points}
    return Chart(spec, f"Test accuracy against {title}. {said}.", 320)


# --- parts ------------------------------------------------------------------------------------------------------------


def _height(rows: Sequence[Any]) -> int:
    return FRAME_PIXELS + ROW_PIXELS * len(rows)


def _accuracy_row(rows: Sequence[Row], index: int) -> dict[str, Any]:
    row, label = rows[index], short(rows[index].label)
    note = "" if row.mean is not None else row.missing_words if row.is_missing else "diverged"
    scale = row.scale
    shown = "" if row.mean is None else scale.short(row.mean)
    around = ""
    if row.interval is not None:
        around = f"\n95 % interval {scaled_interval(row, row.interval)} {scale.unit}"
    return {
        "label": label,
        "style": style_of(rows, index),
        "count": count_words(row),
        "note": note,
        "shown": shown,
        "words": f"{label}, {count_words(row)}\nmean {shown}{around}",
        "values": [[seed, _shown(row, value)] for seed, value in row.values[:MOST_MARKS]],
        "mean": None if row.mean is None else _shown(row, row.mean),
        **_interval(row),
    }


def _difference_row(rows: Sequence[Row], index: int, found: Comparison | None) -> dict[str, Any]:
    base = {"label": short(rows[index].label), "style": style_of(rows, index)}
    if found is None:
        return {**base, "words": "", "values": [], "mean": None, "low": None, "high": None}
    pairs = [*zip(found.seeds, found.differences, strict=True)][:MOST_MARKS]
    mark = "" if found.verdict == "no verdict" else f"{VERDICT_MARKS[found.verdict]} "
    return {
        **base,
        "words": mark + chart_difference(found),
        "values": [[seed, round(gap, 4)] for seed, gap in pairs],
        "mean": _rounded(found.difference),
        "low": _rounded(found.low),
        "high": _rounded(found.high),
        "level": round(100 * found.level, 4),
    }


def _interval(row: Row) -> dict[str, float | None]:
    """Ends of the interval inside the range of the values."""
    low, high = row.interval or (None, None)
    return {
        "low": None if low is None else _shown(row, max(0.0, low)),
        "high": None if high is None else _shown(row, min(row.highest, high)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _shown(row: Row, value: float) -> float:
    """A value of the row in the unit of the chart."""
    return round(row.scale.factor * value, 4)


def _end(drawing: Drawing, known: Sequence[float]) -> float:
    """End of the axis of values, from 20 % or 0.2 L2 up to the largest possible value."""
    scale = drawing.scale
    return min(scale.factor * scale.highest, max(scale.factor / 5, *known))
