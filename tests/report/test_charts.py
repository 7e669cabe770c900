from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from numpy.typing import NDArray

from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row
from cifar_lab.report.charts.drawing import Drawing
from cifar_lab.report.charts.figure import draw
from cifar_lab.report.charts.style import (
    ARMS,
    CONTROL,
    DPI,
    FIGURE_FORMATS,
    FigureFormat,
    boxes_words,
    figure_bytes,
    unseen_letters,
)

from .drawn import comparison, row

CIFAR10 = DataSet("cifar10", "0123456789abcdef" * 4, 50_000, 10_000, 10, 3)


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if patch.get_gid() == "bar" and isinstance(patch, Rectangle)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))]


def annotation(axes: Axes, wanted: str) -> Annotation:
    (found,) = [text for text in axes.texts if text.get_text() == wanted and isinstance(text, Annotation)]
    return found


def pixels(figure: Figure) -> NDArray[np.float32]:
    """(H, W, 3), 0 to 1, as the file shows it."""
    image: NDArray[np.float32] = matplotlib.image.imread(io.BytesIO(figure_bytes(figure)))[..., :3]
    return image


def draw_rows(title: str, rows: list[Row], data: DataSet | None, message: str = "") -> Figure:
    return draw(Drawing(title, rows, data, message=message))


@pytest.fixture
def rows() -> list[Row]:
    return [row("SGD", 0.50, 0.52, 0.48, is_control=True), row("Adam", 0.60, 0.64), row("AdamW", 0.62)]


def test_bars_are_means_each_arm_in_its_own_colour(rows: list[Row]) -> None:
    axes = draw_rows("Which optimizer?", rows, CIFAR10).axes[0]
    drawn = bars(axes)
    assert [bar.get_width() for bar in drawn] == pytest.approx([0.50, 0.62, 0.62])
    assert [bar.get_x() for bar in drawn] == [0, 0, 0]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in drawn]
    assert middles == pytest.approx([0, 1, 2])
    assert axes.yaxis_inverted()  # the first row is on top
    assert [to_hex(bar.get_facecolor()) for bar in drawn] == [CONTROL.color, ARMS[0].color, ARMS[1].color]


def test_every_seed_is_a_dot(rows: list[Row]) -> None:
    axes = draw_rows("Which optimizer?", rows, CIFAR10).axes[0]
    dots = [collection for collection in axes.collections if collection.get_gid() == "seeds"]
    assert [np.asarray(each.get_offsets())[:, 0].tolist() for each in dots] == [
        [0.50, 0.52, 0.48],
        [0.60, 0.64],
        [0.62],
    ]


def test_whiskers_are_t_intervals_where_there_are_two_runs(rows: list[Row]) -> None:
    axes = draw_rows("Which optimizer?", rows, CIFAR10).axes[0]
    assert len(axes.containers) == 3 + 2  # three bars, two error bars
    segments = [
        np.asarray(collection.get_segments()[0])[:, 0]
        for collection in axes.collections
        if hasattr(collection, "get_segments")
    ]
    # t(0.975, 2 degrees) = 4.303, standard error 0.02 / sqrt(3); the second, of two runs, is cut at 0 and 1.
    assert segments[0] == pytest.approx([0.50 - 0.0497, 0.50 + 0.0497], abs=1e-4)
    assert segments[1] == pytest.approx([0.62 - 0.2541, 0.62 + 0.2541], abs=1e-4)


def test_axis_starts_at_zero_and_chance_is_dashed(rows: list[Row]) -> None:
    figure = draw_rows("Which optimizer?", rows, CIFAR10)
    axes = figure.axes[0]
    assert axes.get_xlim()[0] == 0
    (chance,) = [line for line in axes.lines if line.get_gid() == "chance"]
    assert chance.get_xdata() == [0.1, 0.1]
    assert chance.is_dashed()
    assert "chance 10 %" in texts(figure)
    assert axes.get_xlim()[1] < 1.15  # ends soon after the longest whisker, 0.87, and the value beside it


def test_words_on_the_chart(rows: list[Row]) -> None:
    found = (comparison("Adam", 10.0, 12.0, low=-1.7, high=23.7, verdict="undecided"), comparison("AdamW", 12.0))
    shown = texts(draw(Drawing("Which optimizer?", rows, CIFAR10, found, min_effect=0.3)))
    for text in (
        "Which optimizer?", "Test accuracy after 10 epochs · CIFAR-10", "SGD", "n = 3", "50.0 %", "Adam", "n = 2",
        "62.0 %", "? +11.0 (−1.7 to 23.7)", "AdamW", "n = 1", "+12.0, no interval", "difference to the control (pp)",
    ):  # fmt: skip
        assert text in shown
    caption = " ".join(shown).replace("\n", " ")
    assert "whiskers: 95 % t interval of the mean" in caption
    assert "Shaded: below 0.3 pp, negligible." in caption
    assert "Data: CIFAR-10, 50,000 training and 10,000 test images." in caption


def test_small_differences_have_two_decimals_and_no_verdict_no_sign(rows: list[Row]) -> None:
    found = (
        comparison("Adam", -0.2, -0.22, low=-0.44, high=0.02, verdict="undecided"),
        comparison("AdamW", -0.2, -0.22, low=-2.75, high=2.33),
    )
    shown = texts(draw(Drawing("Which optimizer?", rows, CIFAR10, found)))
    assert "? −0.21 (−0.44 to 0.02)" in shown  # one decimal would say 0.0 of an end beyond 0
    assert "−0.2 (−2.8 to 2.3)" in shown


def test_differences_have_a_scale_of_their_own_with_zero_every_pair_and_the_interval(rows: list[Row]) -> None:
    found = (comparison("Adam", 10.0, 12.0, low=8.0, high=14.0), comparison("AdamW"))
    axes = draw(Drawing("q", rows, CIFAR10, found, min_effect=0.3)).axes[1]
    low, high = axes.get_xlim()
    assert low < -0.3
    assert 14 < high < 17
    assert axes.yaxis_inverted()
    (zero,) = [line for line in axes.lines if line.get_gid() == "zero"]
    assert zero.get_xdata() == [0, 0]
    marks = {each.get_gid(): np.asarray(each.get_offsets()).tolist() for each in axes.collections if each.get_gid()}
    assert [x for x, _ in marks["pairs"]] == [10, 12]
    assert marks["difference"] == [[11, 1]]  # the row of Adam; AdamW cannot be compared
    (segment,) = [each.get_segments()[0] for each in axes.collections if hasattr(each, "get_segments")]
    assert np.asarray(segment)[:, 0].tolist() == pytest.approx([8, 14])


def test_without_differences_there_is_no_right_side(rows: list[Row]) -> None:
    figure = draw(Drawing("q", rows, CIFAR10, (comparison("Adam"), comparison("AdamW"))))
    assert len(figure.axes) == 1
    assert "difference to the control (pp)" not in texts(figure)


def test_single_runs_have_no_word_of_whiskers() -> None:
    shown = " ".join(texts(draw_rows("One each?", [row("a", 0.5), row("b", 0.4)], CIFAR10)))
    assert "interval" not in shown


def test_a_missing_arm_keeps_its_place() -> None:
    figure = draw_rows("q", [row("a", 0.5, is_control=True), Row("gone"), row("c", 0.4)], CIFAR10)
    axes = figure.axes[0]
    note = annotation(axes, "no runs yet")
    assert note.xy == (0, 1)
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars(axes)] == pytest.approx([0, 2])


def test_diverged_runs_are_counted() -> None:
    lost = tuple((seed, "loss is nan") for seed in range(3))
    rows = [row("a", 0.5, 0.5, diverged=lost[:1]), Row("b", diverged=lost), row("c", 0.5, missing_seeds=(1, 2))]
    shown = texts(draw_rows("q", rows, CIFAR10))
    assert "n = 2, 1 of 3 diverged" in shown
    assert "n = 0, 3 of 3 diverged" in shown
    assert "diverged" in shown
    assert "n = 1, 2 to run" in shown


def test_the_message_stands_below_the_rows() -> None:
    message = "not swept yet: cifar-lab sweep configs/q8_grid.yaml"
    axes = draw_rows("q", [row("a", 0.5, is_control=True)], CIFAR10, message).axes[0]
    note = annotation(axes, message)
    assert note.xy == (0, 1)


def test_synthetic_data_is_called_so() -> None:
    data = DataSet("synthetic", "0" * 64, 5_000, 1_000, 10, 1)
    shown = texts(draw_rows("q", [row("a", 0.5)], data))
    assert "Test accuracy after 10 epochs · synthetic data" in shown
    assert "Synthetic images: the results say nothing about real images." in " ".join(shown).replace("\n", " ")


def test_the_picture_is_drawn_in_its_colours(rows: list[Row]) -> None:
    image = pixels(draw_rows("Which optimizer?", rows, CIFAR10))
    assert image.shape[1] == 8 * DPI
    for colour, least in ((CONTROL.color, 0.01), (ARMS[0].color, 0.01), (ARMS[1].color, 0.01)):
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
    image = pixels(draw_rows(label, [row(label, 0.97, 0.99, is_control=True), row(label, 0.3), Row(label)], CIFAR10))
    assert (image[:, :4] == 1).all()
    assert (image[:, -4:] == 1).all()
    assert image.min() < 0.5


def test_nothing_is_read_as_mathematics() -> None:
    figure = draw_rows("cost of $5$?", [row("a$b$", 0.5)], CIFAR10)
    assert not any(text.get_parse_math() for text in (*figure.texts, *figure.axes[0].texts))


def test_no_rows_data_or_runs_still_give_a_picture() -> None:
    assert pixels(draw_rows("q", [Row("a", is_control=True)], None)).min() < 0.5


@pytest.mark.parametrize("kind", FIGURE_FORMATS)
def test_same_rows_same_bytes_without_a_date(rows: list[Row], kind: FigureFormat) -> None:
    found = (comparison("Adam", 10.0, 12.0, low=8.0, high=14.0), comparison("AdamW", 12.0))
    drawing = Drawing("Which optimizer?", rows, CIFAR10, found, min_effect=0.3)
    first = figure_bytes(draw(drawing), kind, drawing.texts)
    assert first == figure_bytes(draw(drawing), kind, drawing.texts)
    for word in (b"Software", b"tIME", b"CreationDate", b"dc:date", b"Matplotlib v"):
        assert word not in first


def test_a_chart_too_tall_for_agg_is_drawn_coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw_rows("q", [row(f"arm {k}", 0.5) for k in range(12)], CIFAR10)
    whole = pixels(figure).shape
    monkeypatch.setattr("cifar_lab.report.charts.style.MOST_PIXELS", 500)
    height, width, _ = pixels(figure).shape
    assert height in (499, 500)
    assert width == pytest.approx(whole[1] * height / whole[0], abs=2)


def test_letters_that_no_font_has_are_named_once() -> None:
    assert unseen_letters(["Adam ü Ωж →", "مرحبا שלום"]) == ""
    assert unseen_letters(["\U00012345 a \U00012345", "b"]) in ("\U00012345", "")  # cuneiform, where no font has it
    assert unseen_letters(["\U000e0fff"]) == "\U000e0fff"  # no font has it: it is no letter


def test_letters_that_no_font_has_are_told_with_the_font_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boxes_words(["Adam ü Ωж →"]) == ""
    told = boxes_words(["".join(chr(0xE0FF0 + k) for k in range(10))])
    assert told.startswith("no font on this machine has \U000e0ff0 (U+E0FF0), ")
    assert "\U000e0ff7 (U+E0FF7) and 2 more, so the charts show boxes there; install a Noto font for them and" in told
    monkeypatch.setattr("cifar_lab.report.charts.style.fonts_for", lambda letters: ())  # a machine with one font
    assert "日 (U+65E5), so the charts show boxes there; install Noto Sans CJK (on Debian: fonts-noto-cjk)" in (
        boxes_words(["日"])
    )
