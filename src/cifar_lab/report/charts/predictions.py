"""Figure of predicted images: each as the network sees it, with its class and probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cifar_lab.report.charts.chart import short
from cifar_lab.report.charts.style import ALARM, FAINT, GRID, INK, LABEL, SMALL, TITLE, Measure, style

COLUMNS = 6
WIDTH_INCHES = 8.0
EDGE_INCHES = 0.25
GAP_INCHES = 0.16
TEXT_INCHES = 0.62
"""Height of the three lines below an image."""

UNSURE = 0.5
"""Probability below which the class has another colour."""

BAR_INCHES = 0.06


@dataclass(frozen=True)
class PredictedImage:
    """Image of the figure."""

    name: str
    pixels: Image.Image
    predicted: str
    """Its class."""
    probability: float


def draw_predictions(title: str, subtitle: str, images: Sequence[PredictedImage]) -> Figure:
    """Draw a grid of images, in their order, each with class, probability and file name."""
    with style(texts(title, subtitle, images)):
        figure = Figure(figsize=(WIDTH_INCHES, 4))
        figure.set_canvas(FigureCanvasAgg(figure))
        measure = Measure(figure)
        head = measure.wrap(title, WIDTH_INCHES - 2 * EDGE_INCHES, TITLE, lines=2, bold=True)
        if any(image.probability < UNSURE for image in images):
            subtitle += f" Orange: below {UNSURE:.0%}."
        below = measure.wrap(subtitle, WIDTH_INCHES - 2 * EDGE_INCHES, LABEL - 0.5, lines=3)
        top = 0.3 + 0.27 * (head.count("\n") + 1) + 0.2 * (below.count("\n") + 1)
        cell = (WIDTH_INCHES - 2 * EDGE_INCHES - (COLUMNS - 1) * GAP_INCHES) / COLUMNS
        rows = -(-len(images) // COLUMNS)
        height = top + rows * (cell + TEXT_INCHES + GAP_INCHES) + 0.1
        figure.set_size_inches(WIDTH_INCHES, height)
        edge = EDGE_INCHES / WIDTH_INCHES
        figure.text(edge, 1 - 0.2 / height, head, fontsize=TITLE, fontweight="bold", va="top")
        under = 1 - (0.24 + 0.27 * (head.count("\n") + 1)) / height
        figure.text(edge, under, below, fontsize=LABEL - 0.5, color=FAINT, va="top")
        for index, image in enumerate(images):
            row, column = divmod(index, COLUMNS)
            left = EDGE_INCHES + column * (cell + GAP_INCHES)
            bottom = height - top - row * (cell + TEXT_INCHES + GAP_INCHES) - cell
            _draw_cell(figure, measure, image, (left, bottom, cell, height))
        return figure


def texts(title: str, subtitle: str, images: Sequence[PredictedImage]) -> list[str]:
    """All texts of the figure, for its fonts."""
    return [title, subtitle, *(text for image in images for text in (image.name, image.predicted))]


def _draw_cell(
    figure: Figure, measure: Measure, image: PredictedImage, room: tuple[float, float, float, float]
) -> None:
    """Draw an image with a bar of its probability and three lines of text. `room`: left, bottom, side, all inches."""
    left, bottom, side, height = room
    axes = figure.add_axes((left / WIDTH_INCHES, bottom / height, side / WIDTH_INCHES, side / height))
    axes.imshow(image.pixels, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    color = INK if image.probability >= UNSURE else ALARM
    bar = figure.add_axes(
        (left / WIDTH_INCHES, (bottom - 0.1) / height, side / WIDTH_INCHES, BAR_INCHES / height), facecolor=GRID
    )
    bar.barh([0], [image.probability], height=1, color=color)
    bar.set(xlim=(0, 1), ylim=(-0.5, 0.5), xticks=[], yticks=[])
    for spine in bar.spines.values():
        spine.set_visible(False)
    lines = (
        (measure.wrap(image.predicted, side, LABEL - 1, lines=1, bold=True), LABEL - 1, color, "bold"),
        (f"{image.probability:.0%}", SMALL, color, "normal"),
        (measure.wrap(short(image.name.rpartition("/")[2]), side, SMALL - 1.5, lines=1), SMALL - 1.5, FAINT, "normal"),
    )
    for number, (text, size, ink, weight) in enumerate(lines):
        figure.text(
            left / WIDTH_INCHES, (bottom - 0.15 - 0.17 * number) / height, text, fontsize=size, color=ink,
            fontweight=weight, va="top",
        )  # fmt: skip
