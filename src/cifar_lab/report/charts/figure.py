"""Figure of an answer: accuracies on the left, differences to the control on the right. Reads no files.

The accuracy scale starts at 0, because bars are compared by length. The difference has its own scale, because it is
compared by position. Dots are runs, or shared seeds. Whiskers are 95 % t intervals.
"""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cifar_lab.report.charts.drawing import Drawing as Drawing
from cifar_lab.report.charts.drawing import caption, count_words, subtitle
from cifar_lab.report.charts.panels import beside, draw_differences, draw_row, frame, scale_end
from cifar_lab.report.charts.style import FAINT, LABEL, SMALL, TITLE, Measure, style

WIDTH_INCHES = 8.0
BAR_INCHES = 0.3
DIFFERENCE_INCHES = 2.35
"""Width of the differences, with their margins."""


def draw(drawing: Drawing) -> Figure:
    """Draw horizontal bars of mean test accuracy, one per row in the order given, with the differences beside them."""
    rows = drawing.rows
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
        frame(axes, slots, scale_end(rows, drawing.chance, width), drawing)
        for index, (row, name) in enumerate(zip(rows, names, strict=True)):
            draw_row(axes, index, row, name, BAR_INCHES / slot)
        if drawing.message:
            wrapped = measure.wrap(drawing.message, width - 0.2, LABEL - 1, lines=3)
            beside(axes, 0, len(rows), wrapped, color=FAINT, fontstyle="italic", fontsize=LABEL - 1)
        if drawing.compared:
            start = left + width + 0.35
            room = (start / WIDTH_INCHES, bottom / height, (right - 0.6) / WIDTH_INCHES, slots * slot / height)
            draw_differences(figure.add_axes(room), drawing, slots, BAR_INCHES / slot)

        edge = 0.25 / WIDTH_INCHES
        figure.text(edge, 1 - 0.2 / height, head, fontsize=TITLE, fontweight="bold", va="top")
        below = 1 - (0.24 + 0.27 * (head.count("\n") + 1)) / height
        told = measure.wrap(subtitle(drawing), WIDTH_INCHES - 0.5, LABEL - 0.5, lines=1)
        figure.text(edge, below, told, fontsize=LABEL - 0.5, color=FAINT, va="top")
        figure.text(edge, 0.14 / height, reading, fontsize=SMALL - 0.5, color=FAINT, va="bottom")
        return figure
