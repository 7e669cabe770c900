"""Content of a question's figure, with its words: the figure files and the page draw the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_lab.analysis.scales import SHARES, Scale

if TYPE_CHECKING:
    from cifar_lab.analysis.answers import Answer, Comparison
    from cifar_lab.analysis.data_choice import DataSet
    from cifar_lab.analysis.lab import Lab
    from cifar_lab.analysis.summary import Row


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
    """Half width of the shaded range of differences, in their unit."""
    message: str = ""
    """Text below the rows, in the place of arms that are not known yet."""
    quantity: str = "Test accuracy"
    """Name of the number that is compared."""
    attacked: int = 0
    """Test images that each network was attacked on. 0: the number is the accuracy on all test images."""

    @property
    def scale(self) -> Scale:
        """Units of the number."""
        return self.rows[0].scale if self.rows else SHARES

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing. Without a meaning under attack, and for distances."""
        return None if self.data is None or self.attacked else self.data.chance

    @property
    def texts(self) -> list[str]:
        """User text on the chart."""
        return [self.title, *(row.label for row in self.rows), self.message, self.data.title if self.data else ""]

    @property
    def compared(self) -> dict[int, Comparison]:
        """Comparisons by the index of their row, where a difference is known."""
        indices = [index for index, row in enumerate(self.rows) if not row.is_control]
        pairs = zip(indices, self.comparisons, strict=False)
        return {index: found for index, found in pairs if found.difference is not None}


def drawing_of(answer: Answer, lab: Lab, message: str = "") -> Drawing:
    """Content of the chart of a question."""
    attacked = len(answer.attacks[0].images) if answer.attacks else 0
    return Drawing(
        answer.question.title, answer.rows, lab.data, answer.comparisons,
        answer.control.scale.from_hundredths(lab.min_effect), message, answer.quantity, attacked,
    )  # fmt: skip


def subtitle(drawing: Drawing) -> str:
    """Measure of the bars, and their images."""
    epochs = {row.epochs for row in drawing.rows if row.epochs is not None}
    after = f" after {epochs.pop()} epochs" if len(epochs) == 1 else ""
    return f"{drawing.quantity}{after}" + (f" · {drawing.data.title}" if drawing.data else "")


def accuracy_caption(drawing: Drawing) -> str:
    """Marks of the accuracies in words."""
    has_interval = any(row.interval is not None for row in drawing.rows)
    return f"Bars: mean over seeds; dots: one run each{'; whiskers: 95 % t interval of the mean' * has_interval}."


def difference_caption(drawing: Drawing) -> str:
    """Marks of the differences in words."""
    shade = f" Shaded: below {drawing.scale.bound(drawing.min_effect)}, negligible." if drawing.min_effect else ""
    return f"difference to the control with the interval of this look; dots: one shared seed each.{shade}"


def caption(drawing: Drawing) -> str:
    """Legend in words: marks, and the data."""
    data = drawing.data
    parts = [accuracy_caption(drawing)]
    if drawing.compared:
        parts.append(f"Right: {difference_caption(drawing)}")
    if data is not None:
        tested = f"{drawing.attacked:,} attacked" if drawing.attacked else f"{data.test_size:,}"
        parts.append(f"Data: {data.title}, {data.train_size:,} training and {tested} test images.")
        if data.is_synthetic:
            parts.append("Synthetic images: the results say nothing about real images.")
    return " ".join(parts)


def count_words(row: Row) -> str:
    """`n = 3`, with the runs that diverged or are missing."""
    parts = [f"n = {row.n}"]
    if row.diverged:
        parts.append(f"{len(row.diverged)} of {row.attempts} diverged")
    if row.missing_seeds and not row.is_missing:
        parts.append(f"{len(row.missing_seeds)} to run")
    return ", ".join(parts)
