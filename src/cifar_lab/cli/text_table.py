"""Tables that fit a terminal: columns of least worth are left out, and only long texts are wrapped.

Outside a terminal each row is one line with every column. A table is fast enough for thousands of rows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from cifar_lab.core.text import plain

GAP = "  "
"""Between columns."""

ROWS_AT_ONCE = 1_000
"""Rows per write."""

TEXT_WIDTH = 24
"""Width that a long text keeps before another column is left out for it."""

LEAST_WIDTH = 8
"""Width below which no text is wrapped."""

ESSENTIAL = 9
"""Worth of a column that is never left out."""


def words(value: Any) -> str:
    """Cell of a value. Empty for None."""
    return "" if value is None else str(value)


@dataclass(frozen=True)
class TableColumn:
    """Column of a table."""

    header: str
    key: str = ""
    """Name of its values under `--json`. Empty where each row is added with its document."""
    worth: int = ESSENTIAL
    """Columns of the least worth are left out first."""
    right: bool = False
    """Whether it is aligned right, as numbers are. Such cells are never wrapped."""
    cell: Callable[[Any], str] = words
    """Cell of a value."""
    group: str = ""
    """Columns that are left out together, under this name."""


@dataclass(frozen=True)
class _Layout:
    """Columns that are shown, each with its width."""

    widths: Mapping[int, int]
    left_out: Sequence[str]


class TextTable:
    """Rows of values under columns."""

    def __init__(self, *columns: TableColumn) -> None:
        self._columns = columns
        self._rows: list[tuple[str, ...]] = []
        self._documents: list[Callable[[], Mapping[str, Any]]] = []

    def add(self, *values: Any, document: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Add a row with a value per column. `document`: makes the row under `--json`, where it is not the values."""
        self._rows.append(tuple(plain(column.cell(value)) for column, value in zip(self._columns, values, strict=True)))
        self._documents.append(document or partial(self._by_key, values))

    def _by_key(self, values: Sequence[Any]) -> Mapping[str, Any]:
        return {column.key: value for column, value in zip(self._columns, values, strict=True) if column.key}

    @property
    def documents(self) -> list[Mapping[str, Any]]:
        """The rows as `--json` prints them, with unrounded numbers. Made here, as text needs none of them."""
        return [make() for make in self._documents]

    def add_line(self, *cells: str) -> None:
        """Add a row of cells that is no row under `--json`."""
        self._rows.append(tuple(map(plain, cells)))

    def print(self, out: Console) -> None:
        """Print header and rows, and below them the columns that the terminal has no room for."""
        layout = self._layout(out.width if out.is_terminal else None)
        for line in self._lines([column.header for column in self._columns], layout):
            out.print(Text(line, style="bold"), soft_wrap=True)
        for start in range(0, len(self._rows), ROWS_AT_ONCE):
            rows = self._rows[start : start + ROWS_AT_ONCE]
            out.out("\n".join(line for row in rows for line in self._lines(row, layout)), highlight=False)
        if layout.left_out:
            out.print(f"(no room for: {', '.join(layout.left_out)})")

    def _layout(self, room: int | None) -> _Layout:
        """The columns that fit, and their widths. All columns in full where `room` is None."""
        widest = [max(map(cell_len, cells), default=0) for cells in zip(*self._rows, strict=True)]
        widest = widest or [0] * len(self._columns)
        full = {
            index: max(cell_len(column.header), width)
            for index, (column, width) in enumerate(zip(self._columns, widest, strict=True))
        }
        if room is None or _total(full.values()) <= room:
            return _Layout(full, ())
        needed = {index: self._needed(index, width) for index, width in enumerate(widest)}
        left_out: list[int] = []
        while _total(needed.values()) > room and (index := self._least(needed)) is not None:
            group = self._columns[index].group
            gone = [each for each in needed if each == index or (group and self._columns[each].group == group)]
            left_out += gone
            for each in gone:
                del needed[each]
        widths = self._narrowed(needed, room)
        texts = [index for index in widths if not self._columns[index].right]
        for index in sorted(texts, key=lambda index: -self._columns[index].worth):
            spare = room - _total(widths.values())
            widths[index] = min(full[index], widths[index] + max(0, spare))
        unseen = [self._columns[index] for index in sorted(left_out)]
        return _Layout(widths, list(dict.fromkeys(column.group or column.header for column in unseen)))

    def _needed(self, index: int, widest: int) -> int:
        """Width that a column must have: of a number all, of a text what is readable, of a header two lines."""
        column = self._columns[index]
        return max(_folded(column.header), widest if column.right else min(widest, TEXT_WIDTH))

    def _least(self, shown: Mapping[int, int]) -> int | None:
        """The column to leave out next, the last of the least worth. None where the rest is essential."""
        worths = [(self._columns[index].worth, -index) for index in shown if self._columns[index].worth < ESSENTIAL]
        return -min(worths)[1] if worths else None

    def _narrowed(self, widths: Mapping[int, int], room: int) -> dict[int, int]:
        """Widths of the essential columns on a very narrow terminal: the widest texts give way."""
        found = dict(widths)
        texts = [index for index in found if not self._columns[index].right]
        while _total(found.values()) > room and texts:
            index = max(texts, key=found.__getitem__)
            if found[index] <= LEAST_WIDTH:
                break
            found[index] -= 1
        return found

    def _lines(self, row: Sequence[str], layout: _Layout) -> Iterator[str]:
        """Lines of a row. One where every cell fits."""
        shown = layout.widths.items()
        for cells in zip_longest(*(_wrapped(row[index], width) for index, width in shown), fillvalue=""):
            line = (
                _padded(cell, width, self._columns[index].right)
                for cell, (index, width) in zip(cells, sorted(shown), strict=True)
            )
            yield GAP.join(line).rstrip()


def _total(widths: Iterable[int]) -> int:
    kept = list(widths)
    return sum(kept) + len(GAP) * (len(kept) - 1)


def _folded(header: str) -> int:
    """Least width at which a header takes two lines at most."""
    parts = header.split(" ")
    halves = [(" ".join(parts[:cut]), " ".join(parts[cut:])) for cut in range(1, len(parts) + 1)]
    return min(max(map(cell_len, pair)) for pair in halves)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a cell, broken between words, and in a word that is too long."""
    if cell_len(text) <= width:
        return [text]
    if text.isascii():
        return textwrap.wrap(text, width, break_on_hyphens=False)
    lines: list[str] = []
    for word in (piece for each in text.split(" ") for piece in chop_cells(each, width)):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _padded(cell: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space
