"""Tables and words for the terminal, in the styles that all commands share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cifar_lab.analysis.labels import distinct_labels, labelled
from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.config import Settings
from cifar_lab.core.terminal import console
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch
from cifar_lab.progress.lines import plan_line
from cifar_lab.report.columns import Medium, ReportRow, columns_of

GAP = "  "
"""Between columns."""

ROWS_AT_ONCE = 1_000
"""Rows per write."""

STATE_WORDS = {
    "done": "already done",
    "untested": "trained; to test",
    "interrupted": "to resume",
    "missing": "to train",
}


def arms_table(medium: Medium, rows: Sequence[Row]) -> Table:
    """A line per arm, with the columns of the report that the command shows."""
    table, columns = Table(box=None, pad_edge=False), columns_of(medium)
    for column in columns:
        table.add_column(column.header(medium), justify="left" if column.is_text else "right")
    for row in rows:
        table.add_row(*(plain(str(column.cell(medium, ReportRow(row)))) for column in columns))
    return table


def print_plan(arms: Sequence[Settings], planned: Sequence[PlannedRun] | None) -> None:
    """Print each run of a dry run with its state."""
    out = console()
    if planned is None:
        runs = sum(len(settings.seeds) for settings in arms)
        out.print(
            f"{count(runs, 'run')} of {count(len(arms), 'arm')} to train; "
            "the data has not been prepared yet, so none can be there"
        )
        return
    table = Columns("run", "arm", "seed", "state", "epochs")
    for run in planned:
        job = run.job
        state = STATE_WORDS[run.state] + (f"; failed before ({run.failure.kind})" if run.failure is not None else "")
        table.add(job.run_id, job.settings.label, str(job.seed), state, str(job.settings.epochs))
    table.print(out)
    out.print(plan_line(planned))


def print_arms(arms: Sequence[Settings], runs: RunBatch) -> None:
    """Print one line per arm of a command, then its failed runs.

    Arms that share their runs have a line each. Arms without a record have none.
    """
    out = console()
    if runs.records:
        out.print(arms_table("run", _rows(arms, runs)))
    for outcome in runs.outcomes:
        if outcome.status == "failed":
            line = f"failed {plain(outcome.job.name)}: {plain(outcome.reason or '')}"
            out.print(Text.assemble((line[:6], "red"), line[6:]))


def _rows(arms: Sequence[Settings], runs: RunBatch) -> list[Row]:
    """Row of each arm that has a record."""
    images = DatasetCatalog()
    records = {record.run_id: record for record in runs.records}
    labels = distinct_labels([labelled(arm) for arm in arms])
    ids = [tuple(i for i in run_ids_of(arm, images) if i in records) for arm in arms]
    found = dict.fromkeys(zip(labels, ids, strict=True))
    return [arm_row(label, [records[i] for i in run_ids]) for label, run_ids in found if run_ids]


class Columns:
    """Table with plain-text cells that looks like rich's, which needs half a millisecond per row.

    For tables of thousands of rows.
    """

    def __init__(self, *names: str, right: Collection[str] = ()) -> None:
        """`right`: names of the right-aligned columns."""
        self._names, self._right = names, [name in right for name in names]
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row with one cell per column."""
        self._rows.append(tuple(map(plain, cells)))

    def print(self, out: Console) -> None:
        """Print header and rows. Cells wider than their column are wrapped."""
        widths = self._widths(out)
        out.print(self._table([Text(name) for name in self._names], widths))
        cells = [_Cells(out, width, right) for width, right in zip(widths, self._right, strict=True)]
        for start in range(0, len(self._rows), ROWS_AT_ONCE):
            rows = self._rows[start : start + ROWS_AT_ONCE]
            out.out("\n".join(line for row in rows for line in _lines(row, cells)), highlight=False)

    def _widths(self, out: Console) -> list[int]:
        """Column widths as rich chooses them from the widest cells."""
        widest = [max(map(cell_len, cells), default=0) for cells in zip(*self._rows, strict=True)]
        found: list[int] = []
        table = self._table([Text(name) for name in self._names])
        table.add_row(*(_Room(width, found) for width in widest or [0] * len(self._names)))
        for _ in out.render(table):
            pass
        return found

    def _table(self, names: Sequence[Text], widths: Sequence[int] | None = None) -> Table:
        """Table of rich with the same columns."""
        table = Table(box=None, pad_edge=False)
        for number, (name, right) in enumerate(zip(names, self._right, strict=True)):
            table.add_column(name, justify="right" if right else "left", width=widths[number] if widths else None)
        return table


@dataclass
class _Cells:
    """Layout of the cells of a column."""

    out: Console
    width: int
    right: bool
    wrapped: dict[str, list[str]] = field(default_factory=dict)
    """Lines by cell, of the cells wrapped so far."""

    def lines(self, cell: str) -> list[str]:
        """Lines of a cell. One where it fits."""
        if cell_len(cell) <= self.width:
            return [cell]
        if cell not in self.wrapped:
            text = Text(cell, justify="right" if self.right else "left", overflow="ellipsis")
            self.wrapped[cell] = [line.plain.strip() for line in text.wrap(self.out, self.width)]
        return self.wrapped[cell]

    def padded(self, line: str) -> str:
        """Pad a line to the width of the column."""
        space = " " * (self.width - cell_len(line))
        return space + line if self.right else line + space


def _lines(row: Sequence[str], columns: Sequence[_Cells]) -> Iterator[str]:
    """Lines of a row. One where every cell fits."""
    wrapped = [column.lines(cell) for column, cell in zip(columns, row, strict=True)]
    for cells in zip_longest(*wrapped, fillvalue=""):
        yield GAP.join(column.padded(cell) for column, cell in zip(columns, cells, strict=True)).rstrip()


class _Room:
    """Stand-in for the widest cell of a column, which records the width that rich gives it."""

    def __init__(self, width: int, found: list[int]) -> None:
        self._width, self._found = width, found

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width, self._width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self._found.append(options.max_width)
        yield Segment("")
