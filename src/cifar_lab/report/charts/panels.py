"""Panels of a figure: bars of accuracies, and the differences beside them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cifar_lab.analysis.answers import VERDICT_MARKS
from cifar_lab.analysis.summary import Row
from cifar_lab.report.cells import chart_difference
from cifar_lab.report.charts.drawing import Drawing, count_words
from cifar_lab.report.charts.style import ALARM, FAINT, GRID, INK, LABEL, SHADE, SMALL, look


def frame(axes: Axes, slots: int, upper: float, drawing: Drawing) -> None:
    """Draw the scale from 0, a light grid and the line of chance."""
    axes.set_xlim(0, upper)
    if drawing.scale.is_share:
        step = 0.1 if upper <= 0.6 else 0.2
        ticks = [step * k for k in range(int(min(upper, 1) / step + 1e-9) + 1)]
    else:
        ticks = [tick for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, upper) if tick <= upper]
    words = [f"{drawing.scale.factor * tick:.4g} {drawing.scale.unit}" for tick in ticks]
    axes.set_xticks(ticks, words, fontsize=SMALL, color=FAINT)
    _quiet(axes, slots)
    chance = drawing.chance
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3, gid="chance")
        axes.annotate(f"chance {100 * chance:.3g} %", (chance, 1), (0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", va="bottom", fontsize=SMALL, color=FAINT)  # fmt: skip


def _quiet(axes: Axes, slots: int) -> None:
    """Remove all but the data and a light grid. The first row is on top."""
    axes.set_ylim(slots - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_row(axes: Axes, index: int, row: Row, name: str, thick: float) -> None:
    """Draw one arm: its name and count on the left, bar, whisker and dots, its value.

    `thick` is the bar's share of the row. The whisker lies in its upper third and the dots below, so that neither hides
    the other.
    """
    lines = name.count("\n") + 1
    edge = 12 / 2 - 14 * lines / 2  # points below the middle at which the name ends and the count begins
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    axes.annotate(name, (0, index), (-10, edge), va="bottom", fontsize=LABEL, linespacing=1.15, **at)
    count_color = ALARM if row.diverged else FAINT
    axes.annotate(count_words(row), (0, index), (-10, edge - 2), va="top", fontsize=SMALL, color=count_color, **at)
    if row.mean is None:
        if row.is_missing:
            beside(axes, 0, index, row.missing_words, color=FAINT, fontstyle="italic", fontsize=LABEL)
        else:
            beside(axes, 0, index, "diverged", color=ALARM, fontsize=LABEL)
        return
    color = look(-1 if row.is_control else index - 1).color
    axes.barh(index, row.mean, height=thick, color=color, zorder=2, gid="bar")
    end = max(row.mean, *(value for _, value in row.values))
    if row.interval is not None:
        low, high = max(0.0, row.interval[0]), min(row.highest, row.interval[1])
        around = ([row.mean - low], [high - row.mean])
        axes.errorbar(
            row.mean, index - 0.28 * thick, xerr=around, color=INK, linewidth=1.3, capsize=3, capthick=1.3, zorder=4
        )
        end = max(end, high)
    heights = [index + thick * (0.8 * (k + 1) / (row.n + 1) - 0.3) for k in range(row.n)]
    axes.scatter([value for _, value in row.values], heights, s=18, facecolor="white", edgecolor=INK, linewidth=1,
                 zorder=5, gid="seeds")  # fmt: skip
    beside(axes, end, index, row.scale.short(row.mean), fontweight="bold", fontsize=LABEL + 0.5)


def beside(axes: Axes, x: float, index: int, text: str, **look: Any) -> None:
    """Write text to the right of a point."""
    axes.annotate(text, (x, index), (8, 0), textcoords="offset points", va="center", zorder=6,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, **look)  # fmt: skip


def scale_end(rows: Sequence[Row], chance: float | None, width_inches: float) -> float:
    """End of the axis, with room for the value of the longest bar."""
    ends = [value for row in rows for _, value in row.values]
    ends += [min(row.highest, row.interval[1]) for row in rows if row.interval is not None]
    longest = max([0.2, chance or 0.0, *ends])
    return max(0.3, ceil(20 * longest * width_inches / (width_inches - 0.8)) / 20)


# --- differences ------------------------------------------------------------------------------------------------------


def draw_differences(axes: Axes, drawing: Drawing, slots: int, thick: float) -> None:
    """Draw each arm minus the control: its symbol with its interval, a dot per shared seed, the numbers above."""
    compared, min_effect = drawing.compared, drawing.min_effect
    ends = [0.0, min_effect, -min_effect]
    for found in compared.values():
        ends += [each for each in (found.difference, found.low, found.high) if each is not None]
        ends += found.differences
    low, high = min(ends), max(ends)
    room = max(0.12 * (high - low), 0.001 * drawing.scale.factor)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=SMALL, labelcolor=FAINT)
    _quiet(axes, slots)
    axes.annotate(f"difference to the control ({drawing.scale.difference_unit})", (0.5, 1), (0, 5),
                  xycoords="axes fraction", textcoords="offset points", ha="center", va="bottom",
                  fontsize=SMALL, color=FAINT)  # fmt: skip
    if min_effect:
        axes.axvspan(-min_effect, min_effect, color=SHADE, zorder=0.4, linewidth=0, gid="min_effect")
    axes.axvline(0, color=FAINT, linewidth=1, zorder=1, gid="zero")
    for index, found in compared.items():
        assert found.difference is not None
        arm = look(index - 1)
        heights = [index + thick * (0.34 + 0.22 * (k % 3)) for k in range(len(found.differences))]
        axes.scatter(
            found.differences, heights, s=11, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=5, gid="pairs"
        )
        if found.low is not None and found.high is not None:
            around = ([found.difference - found.low], [found.high - found.difference])
            axes.errorbar(
                found.difference, index, xerr=around, color=arm.color, linewidth=2, capsize=5, capthick=1.6, zorder=3
            )
        axes.scatter(
            [found.difference], [index], s=30, marker=arm.marker, color=arm.color, linewidth=0, zorder=6,
            gid="difference",
        )  # fmt: skip
        mark = "" if found.verdict == "no verdict" else f"{VERDICT_MARKS[found.verdict]} "
        above = (0.5, index - 0.42 * thick)
        axes.annotate(mark + chart_difference(found), above, (0, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="center", va="bottom", fontsize=SMALL + 0.5, zorder=7,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
