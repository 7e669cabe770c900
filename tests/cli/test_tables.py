"""Tables of many rows, which look as rich's, and the table of arms that `run` and `sweep` end with."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cifar_lab.cli.tables import Columns

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


def arm_rows(lines: list[str]) -> list[list[str]]:
    start = next(number for number, line in enumerate(lines) if line.startswith("arm "))
    return [line.split()[:2] for line in lines[start + 1 :] if not line.startswith("next: ")]


def test_arms_of_one_recipe_have_a_line_each_under_the_labels_just_given(trained_copy: Any) -> None:
    trained_copy.write("renamed.yaml", "extends: tiny.yaml\nlabel: renamed\n")
    trained_copy.write("first.yaml", "extends: tiny.yaml\nlabel: first\nseeds: [0]\n")
    done = trained_copy("run", "renamed.yaml", "first.yaml", "renamed.yaml")
    assert (done.code, done.progress[0]) == (0, "2 runs: 2 already done")
    assert arm_rows(done.lines) == [["renamed", "2"], ["first", "1"]]


@pytest.mark.slow
def test_a_winner_that_equals_the_base_has_a_line_of_its_own(trained_copy: Any) -> None:
    trained_copy.write(
        "same.yaml",
        "base: tiny.yaml\nsearch: {top: 1, seeds: [5], confirm_seeds: [0, 1], val_size: 50}\n"
        "space: {optimizer.lr: [0.02]}\n",
    )
    done = trained_copy("sweep", "same.yaml", "--workers", "1")
    assert (done.code, done.err) == (0, "")
    assert arm_rows(done.lines[:-1]) == [["tiny", "2"], ["lr", "0.02"]]
