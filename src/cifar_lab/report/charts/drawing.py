"""What a chart is drawn from, and the words that stand on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.summary import Row


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


def count_words(row: Row) -> str:
    """`n = 3`, and what of the runs is wanting."""
    parts = [f"n = {row.n}"]
    if row.diverged:
        parts.append(f"{len(row.diverged)} of {row.attempts} diverged")
    if row.missing_seeds and not row.is_missing:
        parts.append(f"{len(row.missing_seeds)} to run")
    return ", ".join(parts)


def subtitle(drawing: Drawing) -> str:
    """What the bars are, and of which images."""
    epochs = {row.epochs for row in drawing.rows if row.epochs is not None}
    after = f" after {epochs.pop()} epochs" if len(epochs) == 1 else ""
    return f"Test accuracy{after}" + (f" · {drawing.data.title}" if drawing.data else "")


def caption(drawing: Drawing) -> str:
    """How the chart is read, and what it was drawn from."""
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
