"""Tables that may have thousands of rows: they look as rich's own, which takes half a millisecond for each row."""

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

from cifar_lab.core.text import plain

GAP = "  "
"""Between two columns."""

ROWS_AT_ONCE = 1_000
"""Rows that are written together."""


class Columns:
    """A table without lines, filled row by row. Cells are plain text: nothing in them is taken for markup."""

    def __init__(self, *names: str, right: Collection[str] = ()) -> None:
        """The columns `names`, of which those in `right` are aligned there."""
        self._names, self._right = names, [name in right for name in names]
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """One more row: a cell a column."""
        self._rows.append(tuple(map(plain, cells)))

    def print(self, out: Console) -> None:
        """The names and all rows; what the console has no room for is wrapped."""
        widths = self._widths(out)
        out.print(self._table([Text(name) for name in self._names], widths))
        cells = [_Cells(out, width, right) for width, right in zip(widths, self._right, strict=True)]
        for start in range(0, len(self._rows), ROWS_AT_ONCE):
            rows = self._rows[start : start + ROWS_AT_ONCE]
            out.out("\n".join(line for row in rows for line in _lines(row, cells)), highlight=False)

    def _widths(self, out: Console) -> list[int]:
        """Of each column as rich chooses it, which asks for the widest cells alone."""
        widest = [max(map(cell_len, cells), default=0) for cells in zip(*self._rows, strict=True)]
        found: list[int] = []
        table = self._table([Text(name) for name in self._names])
        table.add_row(*(_Room(width, found) for width in widest or [0] * len(self._names)))
        for _ in out.render(table):
            pass
        return found

    def _table(self, names: Sequence[Text], widths: Sequence[int] | None = None) -> Table:
        """Rich's table of the same columns."""
        table = Table(box=None, pad_edge=False)
        for place, (name, right) in enumerate(zip(names, self._right, strict=True)):
            table.add_column(name, justify="right" if right else "left", width=widths[place] if widths else None)
        return table


@dataclass
class _Cells:
    """How the cells of a column are shown."""

    out: Console
    width: int
    right: bool
    wrapped: dict[str, list[str]] = field(default_factory=dict)
    """Cells that were wrapped so far, and their lines."""

    def lines(self, cell: str) -> list[str]:
        """One where the cell has room."""
        if cell_len(cell) <= self.width:
            return [cell]
        if cell not in self.wrapped:
            text = Text(cell, justify="right" if self.right else "left", overflow="ellipsis")
            self.wrapped[cell] = [line.plain.strip() for line in text.wrap(self.out, self.width)]
        return self.wrapped[cell]

    def padded(self, line: str) -> str:
        """As wide as the column."""
        space = " " * (self.width - cell_len(line))
        return space + line if self.right else line + space


def _lines(row: Sequence[str], columns: Sequence[_Cells]) -> Iterator[str]:
    """A row as it is shown: one line where every cell has room."""
    wrapped = [column.lines(cell) for column, cell in zip(columns, row, strict=True)]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield GAP.join(column.padded(part) for column, part in zip(columns, parts, strict=True)).rstrip()


class _Room:
    """Stands for the widest cell of a column and notes how much room it gets."""

    def __init__(self, width: int, found: list[int]) -> None:
        self._width, self._found = width, found

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width, self._width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self._found.append(options.max_width)
        yield Segment("")
