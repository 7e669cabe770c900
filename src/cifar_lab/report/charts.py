"""Rows to figures: one accuracy chart a question, all in one style. Knows no files and no records.

Bars are means, dots are runs, whiskers are one sample standard deviation over seeds. The axis starts at 0 and the
dashed line is chance. Colours are those of Okabe and Ito (2008), told apart by people with any colour vision.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager

from cifar_lab.report.datachoice import DataSet
from cifar_lab.report.summary import Difference, Row, difference
from cifar_lab.safe_text import plain

WIDTH_INCHES = 8.0
DPI = 200
"""1,600 pixels wide, so that half of it is sharp and readable."""
MOST_PIXELS = 60_000
"""Agg refuses images of 65,536 pixels a side; taller charts are drawn with fewer dots an inch."""

INK, FAINT, GRID = "#1f2328", "#5b636d", "#e4e7eb"
CONTROL, ARM, ALARM = "#9aa2ab", "#0072b2", "#b34700"
TITLE, LABEL, SMALL = 15.0, 11.0, 9.0
"""Sizes of type, points."""
BAR_INCHES = 0.32
_FALLBACKS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Arial Unicode MS")


def draw_accuracy(title: str, rows: Sequence[Row], data: DataSet | None, message: str = "") -> Figure:
    """Horizontal bars of mean test accuracy, one a row, in the order given.

    `message` stands below the rows, in the place of arms that are not known yet. A row without runs says so.
    """
    with _style():
        figure = Figure(figsize=(WIDTH_INCHES, 4))
        canvas = FigureCanvasAgg(figure)
        figure.set_canvas(canvas)
        measure = _Measure(figure)
        differences = [difference(row, rows[0] if rows and rows[0].is_control else None) for row in rows]

        head = measure.wrap(title, WIDTH_INCHES - 0.5, TITLE, lines=4, bold=True)
        names = [measure.wrap(row.label, 2.6, LABEL, lines=3) for row in rows]
        left = 0.4 + max(
            0.6,
            *(measure.inches(name, LABEL) for name in names),
            *(measure.inches(_count(row), SMALL) for row in rows),
        )
        said = [measure.inches(each.words, SMALL) for each in differences if each is not None and each.words]
        right = max(0.85, *(width + 0.3 for width in said), 0.0) if any(differences) else 0.3
        slots = len(rows) + bool(message)
        slot = 0.42 + 0.17 * max([1, *(name.count("\n") + 1 for name in names)])
        top = 0.78 + 0.27 * (head.count("\n") + 1)
        caption = measure.wrap(_caption(rows, data), WIDTH_INCHES - 0.5, SMALL - 0.5, lines=6)
        bottom = 0.56 + 0.16 * (caption.count("\n") + 1)
        height = top + slots * slot + bottom
        figure.set_size_inches(WIDTH_INCHES, height)

        width = WIDTH_INCHES - left - right
        axes = figure.add_axes((left / WIDTH_INCHES, bottom / height, width / WIDTH_INCHES, slots * slot / height))
        _frame(axes, slots, _upper(rows, data, width), data)
        for place, (row, name, gap) in enumerate(zip(rows, names, differences, strict=True)):
            _row(axes, place, row, name, gap, BAR_INCHES / slot, right * 72 - 16)
        if message:
            wrapped = measure.wrap(message, width - 0.2, LABEL - 1, lines=3)
            _beside(axes, 0, len(rows), wrapped, color=FAINT, fontstyle="italic", fontsize=LABEL - 1)

        figure.text(0.25 / WIDTH_INCHES, 1 - 0.2 / height, head, fontsize=TITLE, fontweight="bold", va="top")
        subtitle_at = 1 - (0.24 + 0.27 * (head.count("\n") + 1)) / height
        figure.text(
            0.25 / WIDTH_INCHES, subtitle_at, _subtitle(rows, data), fontsize=LABEL - 0.5, color=FAINT, va="top"
        )
        figure.text(0.25 / WIDTH_INCHES, 0.14 / height, caption, fontsize=SMALL - 0.5, color=FAINT, va="bottom")
        if right > 0.5:
            axes.annotate("vs control", (1, 1), (right * 72 - 16, 5), xycoords="axes fraction", fontsize=SMALL,
                          textcoords="offset points", ha="right", va="bottom", color=FAINT)  # fmt: skip
        return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes (no date, no version inside)."""
    buffer = io.BytesIO()
    dpi = min(DPI, MOST_PIXELS / figure.get_figheight())
    with _style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """One look for all charts, whatever a matplotlibrc says; a missing glyph is a box, not a warning."""
    known = {font.name for font in fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _FALLBACKS if name in known)]
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update({"font.family": families, "text.parse_math": False, "text.color": INK})
        yield


class _Measure:
    """Widths of text on a figure."""

    def __init__(self, figure: Figure) -> None:
        self._dpi = figure.dpi
        self._renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def inches(self, text: str, size: float, bold: bool = False) -> float:
        """Width of the widest line."""
        font = FontProperties(size=size, weight="bold" if bold else "normal")
        widths = (self._renderer.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n"))
        return float(max(widths)) / self._dpi

    def wrap(self, text: str, inches: float, size: float, lines: int, bold: bool = False) -> str:
        """Break into at most `lines` lines of about `inches`; what is too long ends in an ellipsis."""
        text = plain(text)
        if not text or (whole := self.inches(text, size, bold)) <= inches:
            return text
        letters = max(8, int(0.95 * len(text) * inches / whole))
        return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder=" …"))


def _frame(axes: Axes, slots: int, upper: float, data: DataSet | None) -> None:
    """Scale from 0, light grid, the chance line."""
    axes.set_xlim(0, upper)
    axes.set_ylim(slots - 0.5, -0.5)
    axes.set_yticks([])
    step = 0.1 if upper <= 0.6 else 0.2
    ticks = [step * k for k in range(int(min(upper, 1) / step + 1e-9) + 1)]
    axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks], fontsize=SMALL, color=FAINT)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if data is not None:
        axes.axvline(data.chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3, gid="chance")
        axes.annotate(f"chance {100 * data.chance:.3g} %", (data.chance, 1), (0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", va="bottom", fontsize=SMALL, color=FAINT)  # fmt: skip


def _row(axes: Axes, place: int, row: Row, name: str, gap: Difference | None, thick: float, right: float) -> None:
    """One arm: its name and count on the left, bar, whisker and dots, its value, its difference on the right.

    `thick` is the bar's share of the row; the whisker lies in its upper third, the dots below, so that both are seen.
    `right` is where the difference ends, points from the end of the axis.
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
    end = max(row.mean, *(value for _, value in row.values), row.mean + (row.std or 0))
    if row.std is not None:
        axes.errorbar(
            row.mean, place - 0.28 * thick, xerr=row.std, color=INK, linewidth=1.3, capsize=3, capthick=1.3, zorder=4
        )
    heights = [place + thick * (0.8 * (k + 1) / (row.n + 1) - 0.3) for k in range(row.n)]
    axes.scatter([value for _, value in row.values], heights, s=18, facecolor="white", edgecolor=INK, linewidth=1,
                 zorder=5, gid="seeds")  # fmt: skip
    _beside(axes, end, place, _percent(row.mean), fontweight="bold", fontsize=LABEL + 0.5)
    if gap is not None:
        text = f"{gap.points:+.1f} pp".replace("-", "−")
        above = 6 if gap.words else 0  # points
        axes.annotate(text, (1, place), (right, above), va="center", fontsize=LABEL, **at)
        if gap.words:
            axes.annotate(gap.words, (1, place), (right, above - 13), va="center", fontsize=SMALL, color=FAINT, **at)


def _beside(axes: Axes, x: float, place: int, text: str, **look: Any) -> None:
    """Text to the right of a point."""
    axes.annotate(text, (x, place), (8, 0), textcoords="offset points", va="center", zorder=6,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, **look)  # fmt: skip


def _upper(rows: Sequence[Row], data: DataSet | None, width_inches: float) -> float:
    """End of the axis: leaves room for the longest bar's value."""
    ends = [end for row in rows for end in (*(v for _, v in row.values), (row.mean or 0) + (row.std or 0))]
    longest = max([0.2, data.chance if data else 0.0, *ends])
    return max(0.3, ceil(20 * longest * width_inches / (width_inches - 0.95)) / 20)


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


def _caption(rows: Sequence[Row], data: DataSet | None) -> str:
    parts = ["Bars: mean over seeds; dots: one run each."]
    if any(row.std is not None for row in rows):
        parts = ["Bars: mean over seeds; dots: one run each; error bars: ± 1 standard deviation over seeds."]
    if data is not None:
        parts.append(f"Data: {data.title}, {data.train_size:,} training and {data.test_size:,} test images.")
        if data.is_synthetic:
            parts.append("Made-up images: nothing here says anything about real ones.")
    return " ".join(parts)
