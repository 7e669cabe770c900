"""Results as a notebook shows them: lists with an HTML table and a pandas frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.summary import Row
from cifar_lab.core.errors import DataError
from cifar_lab.core.extras import require_extra
from cifar_lab.core.files import read_file
from cifar_lab.core.html_table import html_lines, html_table
from cifar_lab.execution.runner import RunBatch
from cifar_lab.store.records import Record

if TYPE_CHECKING:
    import pandas

    from cifar_lab.analysis.lab import Lab

PAGE_PIXELS = 820
"""Height of a report in a notebook."""


class Records(list[Record]):
    """Records of runs. In a notebook, a table with a row per run."""

    def to_frame(self) -> pandas.DataFrame:
        """A row per run, with every setting under its dotted key.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return _frame([{**record.facts(), **_flat(record.settings)} for record in self])

    def _repr_html_(self) -> str:
        rows = [record.facts() for record in self]
        return html_table(list(rows[0]), [list(row.values()) for row in rows]) if rows else "<p>no runs</p>"


class Arms(list[Row]):
    """Rows of arms. In a notebook, a table with a row per arm."""

    def to_frame(self) -> pandas.DataFrame:
        """A row per arm, with the keys of answers.json.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from cifar_lab.report.columns import ReportRow, row_document

        return _frame([row_document(ReportRow(row)) for row in self])

    def _repr_html_(self) -> str:
        from cifar_lab.report.columns import ReportRow, columns_of

        columns = columns_of("list")
        rows = ([column.cell("list", ReportRow(row)) for column in columns] for row in self)
        return html_table([column.header("list") for column in columns], rows) if self else "<p>no arms</p>"


@dataclass(frozen=True)
class Runs(RunBatch):
    """Result of `make_runs`. In a notebook, a table of its runs."""

    def to_frame(self) -> pandas.DataFrame:
        """As `Records.to_frame`."""
        return Records(self.records).to_frame()

    def _repr_html_(self) -> str:
        return Records(self.records)._repr_html_()


@dataclass(frozen=True)
class ShownAnswer(Answer):
    """Answer to a question. In a notebook, its sentences and its rows."""

    @classmethod
    def of(cls, answer: Answer) -> ShownAnswer:
        """The same answer."""
        return cls(**{each.name: getattr(answer, each.name) for each in fields(answer)})

    def _repr_html_(self) -> str:
        from cifar_lab.analysis.sentences import answer_sentences

        compared = [(row, self.comparison(row)) for row in self.rows]
        rows = (
            (row.label, row.n, row.mean, row.std, found and found.difference, found and found.verdict)
            for row, found in compared
        )
        table = html_table(
            ("arm", "n", "mean", "std", f"vs control ({self.control.scale.difference_unit})", "verdict"), rows
        )
        return html_lines([f"{self.name}: {self.question.title}", *answer_sentences(self)]) + table


@dataclass(frozen=True)
class Report:
    """A report that was written. In a notebook, its page."""

    lab: Lab | None
    """Questions, answers and notes. None for an empty results folder."""
    page: Path
    """report.html."""
    lines: tuple[str, ...]
    """Lines that the command prints."""

    @property
    def answers(self) -> Sequence[ShownAnswer]:
        """The answer to each question."""
        return () if self.lab is None else tuple(map(ShownAnswer.of, self.lab.answers))

    def to_frame(self) -> pandas.DataFrame:
        """A row per question and arm, with the columns of summary.csv.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        require_extra("pandas", "to_frame")
        import pandas

        from cifar_lab.report.markdown import csv_page

        return pandas.DataFrame() if self.lab is None else pandas.read_csv(StringIO(csv_page(self.lab)))

    def _repr_html_(self) -> str:
        if self.lab is None or not self.page.is_file():
            return "".join(f"<p>{escape(line)}</p>" for line in self.lines)
        try:
            page = escape(read_file(self.page).decode("utf-8", errors="replace"))
        except OSError as error:
            raise DataError(f"{self.page}: cannot be read ({error.strerror})") from error
        return f'<iframe srcdoc="{page}" style="width: 100%; height: {PAGE_PIXELS}px; border: 0"></iframe>'


def _frame(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    require_extra("pandas", "to_frame")
    import pandas

    return pandas.DataFrame(list(rows))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted key, without label and seeds, which a run has under other names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        elif prefix or key not in ("label", "seeds"):
            found[prefix + key] = value
    return found
