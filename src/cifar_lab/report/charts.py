"""An answer to a figure: accuracies on the left, differences to the control on the right. Knows no files, no records.

The accuracy scale starts at 0, since bars are compared by their length: it shows how much there is. The difference has
a scale of its own, since it is compared by position: it shows what an arm changes. Dots are runs, or shared seeds;
whiskers are 95 % t intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cifar_lab.report.answers import VERDICT_MARKS, Comparison
from cifar_lab.report.cells import digits, interval_words, signed
from cifar_lab.report.chart_style import (
    ALARM,
    ARM,
    CONTROL,
    FAINT,
    GRID,
    INK,
    LABEL,
    SHADE,
    SMALL,
    TITLE,
    Measure,
    style,
)
from cifar_lab.report.datachoice import DataSet
from cifar_lab.report.summary import Row

WIDTH_INCHES = 8.0
BAR_INCHES = 0.3
DIFFERENCE_INCHES = 2.35
"""Width of the differences, with their margins."""


@dataclass(frozen=True)
class Drawing:
    """What a chart is drawn from."""

    title: str
    rows: Sequence[Row]
    """Control first; a row without runs says so."""
    data: DataSet | None
    comparisons: Sequence[Comparison] = ()
    """One for each row but the control, in their order; without them there is no right side."""
    min_effect: float = 0.0
    """Differences smaller than this are shaded, pp."""
    message: str = ""
    """Stands below the rows, in the place of arms that are not known yet."""

    @property
    def texts(self) -> list[str]:
        """All that people wrote on it."""
        return [self.title, *(row.label for row in self.rows), self.message, self.data.title if self.data else ""]

    @property
    def compared(self) -> dict[int, Comparison]:
        """Place of the row → its comparison, where there is a difference."""
        places = [place for place, row in enumerate(self.rows) if not row.is_control]
        pairs = zip(places, self.comparisons, strict=False)
        return {place: found for place, found in pairs if found.points is not None}


def draw(drawing: Drawing) -> Figure:
    """Horizontal bars of mean test accuracy, one a row, in the order given, and the differences beside them."""
    rows, data = drawing.rows, drawing.data
    with style(drawing.texts):
        figure = Figure(figsize=(WIDTH_INCHES, 4))
        figure.set_canvas(FigureCanvasAgg(figure))
        measure = Measure(figure)

        head = measure.wrap(drawing.title, WIDTH_INCHES - 0.5, TITLE, lines=4, bold=True)
        names = [measure.wrap(row.label, 2.1, LABEL, lines=3) for row in rows]
        left = 0.4 + max(
            0.6,
            *(measure.inches(name, LABEL) for name in names),
            *(measure.inches(_count(row), SMALL) for row in rows),
        )
        right = DIFFERENCE_INCHES if drawing.compared else 0.3
        slots = len(rows) + bool(drawing.message)
        slot = 0.46 + 0.17 * max([1, *(name.count("\n") + 1 for name in names)])
        top = 0.82 + 0.27 * (head.count("\n") + 1)
        caption = measure.wrap(_caption(drawing), WIDTH_INCHES - 0.5, SMALL - 0.5, lines=6)
        bottom = 0.56 + 0.16 * (caption.count("\n") + 1)
        height = top + slots * slot + bottom
        figure.set_size_inches(WIDTH_INCHES, height)

        width = WIDTH_INCHES - left - right
        axes = figure.add_axes((left / WIDTH_INCHES, bottom / height, width / WIDTH_INCHES, slots * slot / height))
        _frame(axes, slots, _upper(rows, data, width), data)
        for place, (row, name) in enumerate(zip(rows, names, strict=True)):
            _row(axes, place, row, name, BAR_INCHES / slot)
        if drawing.message:
            wrapped = measure.wrap(drawing.message, width - 0.2, LABEL - 1, lines=3)
            _beside(axes, 0, len(rows), wrapped, color=FAINT, fontstyle="italic", fontsize=LABEL - 1)
        if drawing.compared:
            start = left + width + 0.35
            room = (start / WIDTH_INCHES, bottom / height, (right - 0.6) / WIDTH_INCHES, slots * slot / height)
            _differences(figure.add_axes(room), drawing, slots, BAR_INCHES / slot)

        edge = 0.25 / WIDTH_INCHES
        figure.text(edge, 1 - 0.2 / height, head, fontsize=TITLE, fontweight="bold", va="top")
        below = 1 - (0.24 + 0.27 * (head.count("\n") + 1)) / height
        subtitle = measure.wrap(_subtitle(rows, data), WIDTH_INCHES - 0.5, LABEL - 0.5, lines=1)
        figure.text(edge, below, subtitle, fontsize=LABEL - 0.5, color=FAINT, va="top")
        figure.text(edge, 0.14 / height, caption, fontsize=SMALL - 0.5, color=FAINT, va="bottom")
        return figure


# --- accuracies -----------------------------------------------------------------------------------------------------


def _frame(axes: Axes, slots: int, upper: float, data: DataSet | None) -> None:
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


def _row(axes: Axes, place: int, row: Row, name: str, thick: float) -> None:
    """One arm: its name and count on the left, bar, whisker and dots, its value.

    `thick` is the bar's share of the row; the whisker lies in its upper third, the dots below, so that both are seen.
    """
    lines = name.count("\n") + 1
    edge = 12 / 2 - 14 * lines / 2  # points below the middle at which the name ends and the count begins
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    axes.annotate(name, (0, place), (-10, edge), va="bottom", fontsize=LABEL, linespacing=1.15, **at)
    count_color = ALARM if row.diverged else FAINT
    axes.annotate(_count(row), (0, place), (-10, edge - 2), va="top", fontsize=SMALL, color=count_color, **at)
    if row.mean is None:
        if row.is_missing:
            _beside(axes, 0, place, "no runs yet", color=FAINT, fontstyle="italic", fontsize=LABEL)
        else:
            _beside(axes, 0, place, "diverged", color=ALARM, fontsize=LABEL)
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
    _beside(axes, end, place, _percent(row.mean), fontweight="bold", fontsize=LABEL + 0.5)


def _beside(axes: Axes, x: float, place: int, text: str, **look: Any) -> None:
    """Text to the right of a point."""
    axes.annotate(text, (x, place), (8, 0), textcoords="offset points", va="center", zorder=6,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, **look)  # fmt: skip


def _upper(rows: Sequence[Row], data: DataSet | None, width_inches: float) -> float:
    """End of the axis: leaves room for the longest bar's value."""
    ends = [value for row in rows for _, value in row.values]
    ends += [min(1.0, row.interval[1]) for row in rows if row.interval is not None]
    longest = max([0.2, data.chance if data else 0.0, *ends])
    return max(0.3, ceil(20 * longest * width_inches / (width_inches - 0.8)) / 20)


# --- differences ----------------------------------------------------------------------------------------------------


def _differences(axes: Axes, drawing: Drawing, slots: int, thick: float) -> None:
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


# --- words ----------------------------------------------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(row: Row) -> str:
    """`n = 3`, and what of the runs is wanting."""
    parts = [f"n = {row.n}"]
    if row.diverged:
        parts.append(f"{len(row.diverged)} of {row.attempts} diverged")
    if row.missing_seeds and not row.is_missing:
        parts.append(f"{len(row.missing_seeds)} to run")
    return ", ".join(parts)


def _subtitle(rows: Sequence[Row], data: DataSet | None) -> str:
    epochs = {row.epochs for row in rows if row.epochs is not None}
    after = f" after {epochs.pop()} epochs" if len(epochs) == 1 else ""
    return f"Test accuracy{after}" + (f" · {data.title}" if data else "")


def _caption(drawing: Drawing) -> str:
    data = drawing.data
    parts = ["Bars: mean over seeds; dots: one run each."]
    if any(row.interval is not None for row in drawing.rows):
        parts = ["Bars: mean over seeds; dots: one run each; whiskers: 95 % t interval of the mean."]
    if drawing.compared:
        parts.append("Right: difference to the first row with its 95 % interval; dots: one shared seed each.")
        if drawing.min_effect:
            parts.append(f"Shaded: under {drawing.min_effect:g} pp, which does not matter.")
    if data is not None:
        parts.append(f"Data: {data.title}, {data.train_size:,} training and {data.test_size:,} test images.")
        if data.is_synthetic:
            parts.append("Made-up images: nothing here says anything about real ones.")
    return " ".join(parts)
