"""Figure of an answer: accuracies on the left, differences to the control on the right. Reads no files.

The accuracy scale starts at 0, because bars are compared by length. The difference has its own scale, because it is
compared by position. Dots are runs, or shared seeds. Whiskers are 95 % t intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row
from cifar_lab.report.charts.panels import beside, count_words, draw_differences, draw_row, frame, scale_end
from cifar_lab.report.charts.style import FAINT, LABEL, SMALL, TITLE, Measure, style

WIDTH_INCHES = 8.0
BAR_INCHES = 0.3
DIFFERENCE_INCHES = 2.35
"""Width of the differences, with their margins."""


@dataclass(frozen=True)
class Drawing:
    """Content of a chart."""

    title: str
    rows: Sequence[Row]
    """Rows of the chart, control first. A row without runs says so."""
    data: DataSet | None
    comparisons: Sequence[Comparison] = ()
    """One per row but the control, in their order. Without them the chart has no right side."""
    min_effect: float = 0.0
    """Half width of the shaded range of differences, in percentage points."""
    message: str = ""
    """Text below the rows, in the place of arms that are not known yet."""

    @property
    def texts(self) -> list[str]:
        """User text on the chart."""
        return [self.title, *(row.label for row in self.rows), self.message, self.data.title if self.data else ""]

    @property
    def compared(self) -> dict[int, Comparison]:
        """Comparisons by the index of their row, where a difference is known."""
        indices = [index for index, row in enumerate(self.rows) if not row.is_control]
        pairs = zip(indices, self.comparisons, strict=False)
        return {index: found for index, found in pairs if found.difference_pp is not None}


def subtitle(drawing: Drawing) -> str:
    """Measure of the bars, and their images."""
    epochs = {row.epochs for row in drawing.rows if row.epochs is not None}
    after = f" after {epochs.pop()} epochs" if len(epochs) == 1 else ""
    return f"Test accuracy{after}" + (f" · {drawing.data.title}" if drawing.data else "")


def accuracy_caption(drawing: Drawing) -> str:
    """Marks of the accuracies in words."""
    has_interval = any(row.interval is not None for row in drawing.rows)
    return f"Bars: mean over seeds; dots: one run each{'; whiskers: 95 % t interval of the mean' * has_interval}."


def difference_caption(drawing: Drawing) -> str:
    """Marks of the differences in words."""
    shade = f" Shaded: below {drawing.min_effect:g} pp, negligible." if drawing.min_effect else ""
    return f"difference to the control with the interval of this look; dots: one shared seed each.{shade}"


def caption(drawing: Drawing) -> str:
    """Legend in words: marks, and the data."""
    data = drawing.data
    parts = [accuracy_caption(drawing)]
    if drawing.compared:
        parts.append(f"Right: {difference_caption(drawing)}")
    if data is not None:
        parts.append(f"Data: {data.title}, {data.train_size:,} training and {data.test_size:,} test images.")
        if data.is_synthetic:
            parts.append("Made-up images: nothing here says anything about real ones.")
    return " ".join(parts)


def draw(drawing: Drawing) -> Figure:
    """Draw horizontal bars of mean test accuracy, one per row in the order given, with the differences beside them."""
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
            *(measure.inches(count_words(row), SMALL) for row in rows),
        )
        right = DIFFERENCE_INCHES if drawing.compared else 0.3
        slots = len(rows) + bool(drawing.message)
        slot = 0.46 + 0.17 * max([1, *(name.count("\n") + 1 for name in names)])
        top = 0.82 + 0.27 * (head.count("\n") + 1)
        reading = measure.wrap(caption(drawing), WIDTH_INCHES - 0.5, SMALL - 0.5, lines=6)
        bottom = 0.56 + 0.16 * (reading.count("\n") + 1)
        height = top + slots * slot + bottom
        figure.set_size_inches(WIDTH_INCHES, height)

        width = WIDTH_INCHES - left - right
        axes = figure.add_axes((left / WIDTH_INCHES, bottom / height, width / WIDTH_INCHES, slots * slot / height))
        frame(axes, slots, scale_end(rows, data, width), data)
        for index, (row, name) in enumerate(zip(rows, names, strict=True)):
            draw_row(axes, index, row, name, BAR_INCHES / slot)
        if drawing.message:
            wrapped = measure.wrap(drawing.message, width - 0.2, LABEL - 1, lines=3)
            beside(axes, 0, len(rows), wrapped, color=FAINT, fontstyle="italic", fontsize=LABEL - 1)
        if drawing.compared:
            start = left + width + 0.35
            room = (start / WIDTH_INCHES, bottom / height, (right - 0.6) / WIDTH_INCHES, slots * slot / height)
            draw_differences(figure.add_axes(room), drawing.compared, drawing.min_effect, slots, BAR_INCHES / slot)

        edge = 0.25 / WIDTH_INCHES
        figure.text(edge, 1 - 0.2 / height, head, fontsize=TITLE, fontweight="bold", va="top")
        below = 1 - (0.24 + 0.27 * (head.count("\n") + 1)) / height
        told = measure.wrap(subtitle(drawing), WIDTH_INCHES - 0.5, LABEL - 0.5, lines=1)
        figure.text(edge, below, told, fontsize=LABEL - 0.5, color=FAINT, va="top")
        figure.text(edge, 0.14 / height, reading, fontsize=SMALL - 0.5, color=FAINT, va="bottom")
        return figure
