"""The two sides of a chart: bars of accuracies, and the differences beside them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cifar_lab.analysis.answers import VERDICT_MARKS, Comparison
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row
from cifar_lab.report.charts.drawing import Drawing, count_words
from cifar_lab.report.charts.style import ALARM, ARM, CONTROL, FAINT, GRID, INK, LABEL, SHADE, SMALL
from cifar_lab.report.columns import digits, interval_words, signed


def frame(axes: Axes, slots: int, upper: float, data: DataSet | None) -> None:
    """Scale from 0, light grid, the chance line."""
    axes.set_xlim(0, upper)
    step = 0.1 if upper <= 0.6 else 0.2
    ticks = [step * k for k in range(int(min(upper, 1) / step + 1e-9) + 1)]
    axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks], fontsize=SMALL, color=FAINT)
    _quiet(axes, slots)
    if data is not None:
        axes.axvline(data.chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3, gid="chance")
        axes.annotate(f"chance {100 * data.chance:.3g} %", (data.chance, 1), (0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", va="bottom", fontsize=SMALL, color=FAINT)  # fmt: skip


def _quiet(axes: Axes, slots: int) -> None:
    """Nothing that is no data but a light grid; the first row on top."""
    axes.set_ylim(slots - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_row(axes: Axes, place: int, row: Row, name: str, thick: float) -> None:
    """One arm: its name and count on the left, bar, whisker and dots, its value.

    `thick` is the bar's share of the row; the whisker lies in its upper third, the dots below, so that both are seen.
    """
    lines = name.count("\n") + 1
    edge = 12 / 2 - 14 * lines / 2  # points below the middle at which the name ends and the count begins
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    axes.annotate(name, (0, place), (-10, edge), va="bottom", fontsize=LABEL, linespacing=1.15, **at)
    count_color = ALARM if row.diverged else FAINT
    axes.annotate(count_words(row), (0, place), (-10, edge - 2), va="top", fontsize=SMALL, color=count_color, **at)
    if row.mean is None:
        if row.is_missing:
            beside(axes, 0, place, "no runs yet", color=FAINT, fontstyle="italic", fontsize=LABEL)
        else:
            beside(axes, 0, place, "diverged", color=ALARM, fontsize=LABEL)
        return
    color = CONTROL if row.is_control else ARM
    axes.barh(place, row.mean, height=thick, color=color, zorder=2, gid="bar")
    end = max(row.mean, *(value for _, value in row.values))
    if row.interval is not None:
        low, high = max(0.0, row.interval[0]), min(1.0, row.interval[1])
        around = ([row.mean - low], [high - row.mean])
        axes.errorbar(
            row.mean, place - 0.28 * thick, xerr=around, color=INK, linewidth=1.3, capsize=3, capthick=1.3, zorder=4
        )
        end = max(end, high)
    heights = [place + thick * (0.8 * (k + 1) / (row.n + 1) - 0.3) for k in range(row.n)]
    axes.scatter([value for _, value in row.values], heights, s=18, facecolor="white", edgecolor=INK, linewidth=1,
                 zorder=5, gid="seeds")  # fmt: skip
    beside(axes, end, place, _percent(row.mean), fontweight="bold", fontsize=LABEL + 0.5)


def beside(axes: Axes, x: float, place: int, text: str, **look: Any) -> None:
    """Text to the right of a point."""
    axes.annotate(text, (x, place), (8, 0), textcoords="offset points", va="center", zorder=6,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, **look)  # fmt: skip


def scale_end(rows: Sequence[Row], data: DataSet | None, width_inches: float) -> float:
    """End of the axis: leaves room for the longest bar's value."""
    ends = [value for row in rows for _, value in row.values]
    ends += [min(1.0, row.interval[1]) for row in rows if row.interval is not None]
    longest = max([0.2, data.chance if data else 0.0, *ends])
    return max(0.3, ceil(20 * longest * width_inches / (width_inches - 0.8)) / 20)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# --- differences ------------------------------------------------------------------------------------------------------


def draw_differences(axes: Axes, drawing: Drawing, slots: int, thick: float) -> None:
    """Each arm minus the control: a diamond with its interval, a dot a shared seed, the numbers above."""
    compared = drawing.compared
    ends = [0.0, drawing.min_effect, -drawing.min_effect]
    for found in compared.values():
        ends += [each for each in (found.points, found.low, found.high) if each is not None]
        ends += found.differences
    low, high = min(ends), max(ends)
    room = max(0.12 * (high - low), 0.1)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=SMALL, labelcolor=FAINT)
    _quiet(axes, slots)
    axes.annotate("vs control, pp", (0.5, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", ha="center",
                  va="bottom", fontsize=SMALL, color=FAINT)  # fmt: skip
    if drawing.min_effect:
        axes.axvspan(-drawing.min_effect, drawing.min_effect, color=SHADE, zorder=0.4, linewidth=0, gid="min_effect")
    axes.axvline(0, color=FAINT, linewidth=1, zorder=1, gid="zero")
    for place, found in compared.items():
        assert found.points is not None
        heights = [place + thick * (0.34 + 0.22 * (k % 3)) for k in range(len(found.differences))]
        axes.scatter(
            found.differences, heights, s=11, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=5, gid="pairs"
        )
        if found.low is not None and found.high is not None:
            around = ([found.points - found.low], [found.high - found.points])
            axes.errorbar(found.points, place, xerr=around, color=ARM, linewidth=2, capsize=5, capthick=1.6, zorder=3)
        axes.scatter(
            [found.points],
            [place],
            s=18,
            marker="D",
            color=ARM,
            linewidth=0,
            zorder=6,
            gid="difference",
        )
        above = (0.5, place - 0.42 * thick)
        axes.annotate(_points(found), above, (0, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="center", va="bottom", fontsize=SMALL + 0.5, zorder=7,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip


def _points(found: Comparison) -> str:
    """`▲ +1.2 (0.4 to 2.0)`, with the sign of a verdict and none where there is no verdict."""
    assert found.points is not None
    mark = "" if found.verdict == "no verdict" else f"{VERDICT_MARKS[found.verdict]} "
    if found.low is None or found.high is None:
        return f"{mark}{signed(found.points, digits(found.points))}, no interval"
    places = digits(found.points, found.low, found.high)
    return f"{mark}{signed(found.points, places)} ({interval_words(found.low, found.high, places)})"
