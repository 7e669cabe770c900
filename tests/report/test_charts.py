from __future__ import annotations

import io
from statistics import fmean, stdev
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from numpy.typing import NDArray

from cifar_lab.report.charts import ARM, CONTROL, DPI, draw_accuracy, png
from cifar_lab.report.datachoice import DataSet
from cifar_lab.report.summary import Row

CIFAR10 = DataSet("cifar10", "0123456789abcdef" * 4, 50_000, 10_000, 10, 3)


def row(label: str, *values: float, **more: Any) -> Row:
    return Row(
        label,
        values=tuple(enumerate(values)),
        mean=fmean(values) if values else None,
        std=stdev(values) if len(values) > 1 else None,
        epochs=10,
        **more,
    )


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if patch.get_gid() == "bar" and isinstance(patch, Rectangle)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def annotation(axes: Axes, wanted: str) -> Annotation:
    (found,) = [text for text in axes.texts if text.get_text() == wanted and isinstance(text, Annotation)]
    return found


def pixels(figure: Figure) -> NDArray[np.float32]:
    """(H, W, 3), 0 to 1, as the file shows it."""
    image: NDArray[np.float32] = matplotlib.image.imread(io.BytesIO(png(figure)))[..., :3]
    return image


@pytest.fixture
def rows() -> list[Row]:
    return [row("SGD", 0.50, 0.52, 0.48, is_control=True), row("Adam", 0.60, 0.64), row("AdamW", 0.62)]


def test_bars_are_means_control_first_in_its_own_colour(rows: list[Row]) -> None:
    axes = draw_accuracy("Which optimizer?", rows, CIFAR10).axes[0]
    drawn = bars(axes)
    assert [bar.get_width() for bar in drawn] == pytest.approx([0.50, 0.62, 0.62])
    assert [bar.get_x() for bar in drawn] == [0, 0, 0]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in drawn]
    assert middles == pytest.approx([0, 1, 2])
    assert axes.yaxis_inverted()  # the first row is on top
    assert [to_hex(bar.get_facecolor()) for bar in drawn] == [CONTROL, ARM, ARM]


def test_every_seed_is_a_dot(rows: list[Row]) -> None:
    axes = draw_accuracy("Which optimizer?", rows, CIFAR10).axes[0]
    dots = [collection for collection in axes.collections if collection.get_gid() == "seeds"]
    assert [np.asarray(each.get_offsets())[:, 0].tolist() for each in dots] == [
        [0.50, 0.52, 0.48],
        [0.60, 0.64],
        [0.62],
    ]


def test_whiskers_are_one_standard_deviation_where_there_are_two_runs(rows: list[Row]) -> None:
    axes = draw_accuracy("Which optimizer?", rows, CIFAR10).axes[0]
    assert len(axes.containers) == 3 + 2  # three bars, two error bars
    segments = [
        np.asarray(collection.get_segments()[0])[:, 0]
        for collection in axes.collections
        if hasattr(collection, "get_segments")
    ]
    assert segments[0] == pytest.approx([0.50 - 0.02, 0.50 + 0.02])
    assert segments[1] == pytest.approx([0.62 - stdev((0.60, 0.64)), 0.62 + stdev((0.60, 0.64))])


def test_axis_starts_at_zero_and_chance_is_dashed(rows: list[Row]) -> None:
    figure = draw_accuracy("Which optimizer?", rows, CIFAR10)
    axes = figure.axes[0]
    assert axes.get_xlim()[0] == 0
    (chance,) = [line for line in axes.lines if line.get_gid() == "chance"]
    assert chance.get_xdata() == [0.1, 0.1]
    assert chance.is_dashed()
    assert "chance 10 %" in texts(figure)
    assert axes.get_xlim()[1] < 0.85  # ends soon after the longest bar, 0.65 with its whisker, and its value


def test_words_on_the_chart(rows: list[Row]) -> None:
    shown = texts(draw_accuracy("Which optimizer?", rows, CIFAR10))
    for text in (
        "Which optimizer?", "Test accuracy after 10 epochs · CIFAR-10", "SGD", "n = 3", "50.0 %", "Adam", "n = 2",
        "62.0 %", "+11.0 pp", "2 shared seeds", "AdamW", "n = 1", "+12.0 pp", "1 shared seed",
    ):  # fmt: skip
        assert text in shown
    caption = " ".join(shown).replace("\n", " ")
    assert "error bars: ± 1 standard deviation over seeds" in caption
    assert "Data: CIFAR-10, 50,000 training and 10,000 test images." in caption


def test_single_runs_have_no_word_of_error_bars() -> None:
    shown = " ".join(texts(draw_accuracy("One each?", [row("a", 0.5), row("b", 0.4)], CIFAR10)))
    assert "standard deviation" not in shown


def test_a_missing_arm_keeps_its_place() -> None:
    figure = draw_accuracy("q", [row("a", 0.5, is_control=True), Row("gone"), row("c", 0.4)], CIFAR10)
    axes = figure.axes[0]
    note = annotation(axes, "no runs yet")
    assert note.xy == (0, 1)
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars(axes)] == pytest.approx([0, 2])
    assert "−10.0 pp" in texts(figure)


def test_diverged_runs_are_counted() -> None:
    lost = tuple((seed, "loss is nan") for seed in range(3))
    rows = [row("a", 0.5, 0.5, diverged=lost[:1]), Row("b", diverged=lost), row("c", 0.5, missing_seeds=(1, 2))]
    shown = texts(draw_accuracy("q", rows, CIFAR10))
    assert "n = 2, 1 of 3 diverged" in shown
    assert "n = 0, 3 of 3 diverged" in shown
    assert "diverged" in shown
    assert "n = 1, 2 to run" in shown


def test_the_message_stands_below_the_rows() -> None:
    message = "not swept yet: cifar-lab sweep configs/q8_grid.yaml"
    axes = draw_accuracy("q", [row("a", 0.5, is_control=True)], CIFAR10, message).axes[0]
    note = annotation(axes, message)
    assert note.xy == (0, 1)


def test_synthetic_data_is_called_so() -> None:
    data = DataSet("synthetic", "0" * 64, 5_000, 1_000, 10, 1)
    shown = texts(draw_accuracy("q", [row("a", 0.5)], data))
    assert "Test accuracy after 10 epochs · synthetic data" in shown
    assert "Made-up images: nothing here says anything about real ones." in " ".join(shown).replace("\n", " ")


def test_the_picture_is_drawn_in_its_colours(rows: list[Row]) -> None:
    image = pixels(draw_accuracy("Which optimizer?", rows, CIFAR10))
    assert image.shape[1] == 8 * DPI
    for colour, least in ((CONTROL, 0.01), (ARM, 0.02)):
        wanted = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        assert (np.abs(image - wanted).max(axis=2) < 0.01).mean() > least
    # Nothing touches the border: no text is cut off.
    border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3), image[:, :8].reshape(-1, 3)])
    assert (border == 1).all()
    assert (image[:, -8:] == 1).all()


@pytest.mark.parametrize(
    "label",
    [
        "W" * 200,
        "a b " * 50,
        "日本語 😀 ü",
        "$x_1^{2}$ \\alpha",
        "<script>",
        "line\nbreak",
        "\x1b[31m",
        "",
        "%s {0} & |",
    ],
)
def test_hostile_labels_are_drawn_inside_the_picture(label: str) -> None:
    image = pixels(
        draw_accuracy(label, [row(label, 0.97, 0.99, is_control=True), row(label, 0.3), Row(label)], CIFAR10)
    )
    assert (image[:, :4] == 1).all()
    assert (image[:, -4:] == 1).all()
    assert image.min() < 0.5


def test_nothing_is_read_as_mathematics() -> None:
    figure = draw_accuracy("cost of $5$?", [row("a$b$", 0.5)], CIFAR10)
    assert not any(text.get_parse_math() for text in (*figure.texts, *figure.axes[0].texts))


def test_no_rows_data_or_runs_still_give_a_picture() -> None:
    assert pixels(draw_accuracy("q", [Row("a", is_control=True)], None)).min() < 0.5


def test_same_rows_same_bytes(rows: list[Row]) -> None:
    first = png(draw_accuracy("Which optimizer?", rows, CIFAR10))
    assert first == png(draw_accuracy("Which optimizer?", rows, CIFAR10))
    assert b"Software" not in first
    assert b"tIME" not in first


def test_a_chart_too_tall_for_agg_is_drawn_coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw_accuracy("q", [row(f"arm {k}", 0.5) for k in range(12)], CIFAR10)
    whole = pixels(figure).shape
    monkeypatch.setattr("cifar_lab.report.charts.MOST_PIXELS", 500)
    height, width, _ = pixels(figure).shape
    assert height in (499, 500)
    assert width == pytest.approx(whole[1] * height / whole[0], abs=2)
