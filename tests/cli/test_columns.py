"""Tables of many rows look as rich's."""

from __future__ import annotations

import io
import random

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cifar_lab.cli.columns import Columns

NAMES = ("run", "arm, with seeds", "accuracy", "finished")
RIGHT = ("accuracy",)
CELLS = (
    "",
    "a",
    "batch 64 · no flip · SGD",
    "漢字 and letters",
    "0.5231",
    "[red]x[/]",
    "0123456789abcdef",
    "two words",
)


def rows(count: int) -> list[tuple[str, ...]]:
    chance = random.Random(count)
    return [tuple(chance.choice(CELLS) for _ in NAMES) for _ in range(count)]


def console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False)


def shown(out: Console) -> list[str]:
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize(("count", "width"), [(0, 160), (1, 160), (1200, 160), (50, 70), (50, 40), (50, 20), (0, 20)])
def test_they_are_rich_s_tables(count: int, width: int) -> None:
    ours, theirs = console(width), console(width)
    columns, table = Columns(*NAMES, right=RIGHT), Table(box=None, pad_edge=False)
    for name in NAMES:
        table.add_column(name, justify="right" if name in RIGHT else "left")
    for row in rows(count):
        columns.add(*row)
        table.add_row(*map(escape, row))
    columns.print(ours)
    theirs.print(table)
    assert shown(ours) == shown(theirs)


def test_nothing_is_markup_and_nothing_moves_the_cursor() -> None:
    out, columns = console(80), Columns("arm", "seed")
    columns.add("[bold]x[/] :smile:\x1b[2J\ny", "0")
    columns.print(out)
    assert shown(out)[1:] == ["[bold]x[/] :smile:[2J y  0"]
