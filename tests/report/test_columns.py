"""A column is declared once, and every writer shows it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from statistics import median

import pytest
from rich.console import Console

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.lab import Lab
from cifar_lab.cli import tables
from cifar_lab.cli.selection import Selection, arm_columns
from cifar_lab.config.sheets import Question
from cifar_lab.report import columns
from cifar_lab.report.columns import COLUMNS, SHARE, TEXT, Column, ReportRow, columns_of, headers_of
from cifar_lab.report.html import html_page
from cifar_lab.report.json import answers_json
from cifar_lab.report.latex import latex_page
from cifar_lab.report.markdown import csv_page, markdown_page

from .drawn import comparison, row

CONTROL = row("SGD", 0.5, 0.53, 0.47, is_control=True, run_ids=("a", "b", "c"))
ADAM = row("Adam", 0.61, 0.62, 0.69, run_ids=("d", "e", "f"))
DATA = DataSet("cifar10", "01" * 32, 50_000, 10_000, 10, 6)
LAB = Lab(
    "A lab",
    DATA,
    (),
    (Answer("q3", Question(title="t", chart="c.png"), (CONTROL, ADAM), comparisons=(comparison("Adam", 11.0, 9.0),)),),
)
MEDIAN = Column("median", lambda entry: median(value for _, value in entry.row.values), SHARE)
BEST = Column("best_seed", lambda entry: f"seed <{max(entry.row.values, key=lambda pair: pair[1])[0]}>", TEXT)


@pytest.fixture(autouse=True)
def with_two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", [*COLUMNS, MEDIAN, BEST])


def shown(medium: columns.Medium) -> str:
    out = Console(file=io.StringIO(), width=200, highlight=False)
    tables.arms_table(medium, LAB.answers[0].rows).print(out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_new_column_is_in_every_table_that_is_read() -> None:
    page = markdown_page(LAB)
    assert re.search(r"\| parameters \| median % \| best seed \|\n.* ---: \| --- \|\n", page)
    assert "| 62.00 | seed &lt;2&gt; |\n" in page
    tex = latex_page(LAB)
    assert r"& verdict & $p$ & median \% & best seed \\" in tex
    assert r"& 62.00 & seed \textless{}2\textgreater{} \\" in tex
    assert "X" + "rrlr" + "rl@{}}" in tex


def test_a_new_column_is_on_the_page(tmp_path: Path) -> None:
    page = html_page(LAB, tmp_path)
    assert '<th scope="col">median %</th><th scope="col" class="text">best seed</th></tr>' in page
    assert '<td data-v="0.62">62.00</td>\n<td class="text best_seed">seed &lt;2&gt;</td>' in page


def test_a_new_column_is_in_every_file_that_is_read_by_programs() -> None:
    lines = list(csv.DictReader(io.StringIO(csv_page(LAB))))
    assert [(line["median"], line["best_seed"]) for line in lines] == [("0.5", "seed <1>"), ("0.62", "seed <2>")]
    assert headers_of("csv")[-2:] == ["median", "best_seed"]
    arms = json.loads(answers_json(LAB))["questions"][0]["arms"]
    assert [(arm["median"], arm["best_seed"]) for arm in arms] == [(0.5, "seed <1>"), (0.62, "seed <2>")]


@pytest.mark.parametrize("medium", ["run", "compare"])
def test_a_new_column_is_in_the_terminal(medium: columns.Medium) -> None:
    head, _, adam = shown(medium).splitlines()
    assert head.split()[-2:] == ["median", "best_seed"]
    assert adam.split()[-3:] == ["0.6200", "seed", "<2>"]


def test_a_new_column_is_listed_and_sorted_by() -> None:
    head, sgd, _ = shown("list").splitlines()
    assert head.split()[-2:] == ["median", "best_seed"]
    assert sgd.split()[-3:] == ["0.5000", "seed", "<1>"]
    selection = Selection.of([], "median", False, arms=True)
    assert [each.label for each in selection.ordered([ADAM, CONTROL], arm_columns())] == ["SGD", "Adam"]


@pytest.mark.parametrize("medium", ["md", "html", "latex", "csv", "json", "run", "list", "compare", "sort"])
def test_headers_are_of_one_column_each(medium: columns.Medium) -> None:
    headers = headers_of(medium)
    assert len(set(headers)) == len(headers)


def test_the_control_and_an_arm_without_runs_have_cells_everywhere() -> None:
    empty = row("none")
    answer = Answer("q", Question(title="t", chart="c.png"), (CONTROL, empty))
    for medium in ("md", "html", "latex", "csv", "json", "run", "list", "compare"):
        for column in columns_of(medium):
            if column not in (MEDIAN, BEST):
                for each in (CONTROL, empty):
                    column.cell(medium, ReportRow(each, answer))


def test_names_are_told_apart() -> None:
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert {name for order in columns.ORDER.values() for name in order} <= set(names)


def test_the_columns_of_a_terminal_have_a_worth_each_and_two_are_always_shown() -> None:
    for medium in columns.TERMINALS:
        worths = [column.worth for column in columns_of(medium) if column not in (MEDIAN, BEST)]
        assert sorted(worths)[-2:] == [9, 9]
        assert len(set(worths)) == len(worths) - 1
