"""Tables on terminals of any width, and outside of one."""

from __future__ import annotations

import io
import random
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from cifar_lab.cli.text_table import LEAST_WIDTH, TableColumn, TextTable

COLUMNS = (
    TableColumn("run", "run_id", worth=8),
    TableColumn("arm", "label"),
    TableColumn("test accuracy ± 95 % interval", "accuracy", right=True),
    TableColumn("each seed", "seeds", worth=4),
    TableColumn("parameters", "parameters", worth=1, right=True),
)
LONG = "lr 0.08121 · momentum 0.72719 · weight decay 0.0005"
LABELS = ("a", "batch 64 · no flip · SGD", "漢字 and letters", LONG, "[b]")


def table(rows: int) -> TextTable:
    chance, made = random.Random(rows), TextTable(*COLUMNS)
    for _ in range(rows):
        seeds = " ".join(f"{chance.random():.4f}" for _ in range(chance.randrange(9)))
        made.add(f"{chance.randrange(16**8):08x}", chance.choice(LABELS), "0.5231 ± 0.0042", seeds, 62006)
    return made


def shown(made: TextTable, width: int, *, terminal: bool = True) -> list[str]:
    out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, highlight=False)
    made.print(out)
    assert isinstance(out.file, io.StringIO)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize("rows", [0, 1, 30, 1200])
@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_no_line_is_wider_than_the_terminal(rows: int, width: int) -> None:
    lines = shown(table(rows), width)
    assert all(cell_len(line) <= width for line in lines if not line.startswith("(no room"))
    assert "arm" in lines[0]
    assert "accuracy" in " ".join(lines[:2])


@pytest.mark.parametrize("width", [80, 60, 40])
def test_numbers_are_whole_and_long_texts_are_wrapped_between_words(width: int) -> None:
    made = TextTable(*COLUMNS)
    made.add("13747b80", LONG, "0.5231 ± 0.0042", "0.5231 0.5190 0.5200", 62006)
    lines = shown(made, width)
    assert sum("0.5231 ± 0.0042" in line for line in lines) == 1
    words = set(" ".join(lines).split())
    assert set(LONG.split()) <= words
    assert max(map(len, LONG.split())) <= LEAST_WIDTH


def test_columns_of_least_worth_are_left_out_and_named() -> None:
    made = table(30)
    assert not shown(made, 160)[-1].startswith("(no room")
    assert shown(made, 80)[-1] == "(no room for: parameters)"
    assert shown(made, 60)[-1] == "(no room for: each seed, parameters)"
    assert " ".join(shown(made, 40)[-2:]) == "(no room for: run, each seed, parameters)"


def test_a_group_of_columns_is_left_out_together() -> None:
    columns = [TableColumn(str(number), worth=1, right=True, group="matrix") for number in range(10)]
    made = TextTable(TableColumn("class"), *columns)
    made.add("airplane", *range(100, 110))
    assert shown(made, 40) == ["class", "airplane", "(no room for: matrix)"]
    assert shown(made, 80)[1].split() == ["airplane", *map(str, range(100, 110))]


def test_outside_a_terminal_a_row_is_a_line_with_every_column() -> None:
    lines = shown(table(30), 40, terminal=False)
    assert len(lines) == 31
    assert lines[0].startswith("run  ")
    assert lines[0].endswith("parameters")


def test_rows_are_documents_with_the_values_themselves() -> None:
    made = TextTable(TableColumn("accuracy", "test_accuracy", cell=lambda value: f"{value:.2f}"), TableColumn("note"))
    made.add(0.123456789, "n")
    made.add_line("drawn", "")
    assert made.documents == [{"test_accuracy": 0.123456789}]
    assert shown(made, 80)[1:] == ["0.12      n", "drawn"]


def test_nothing_is_markup_and_nothing_moves_the_cursor() -> None:
    made = TextTable(TableColumn("arm"), TableColumn("seed"))
    made.add("[bold]x[/] :smile:\x1b[2J\ny", "0")
    assert shown(made, 80)[1:] == ["[bold]x[/] :smile:[2J y  0"]
