"""Columns of the report: name, headers, unit, value and format, each declared once and read by every writer.

report.md, summary.csv, report.tex, report.html, the rows of answers.json and the tables of `run`, `list --arms` and
`compare` show the columns of `COLUMNS`. A column that names no media is shown in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import markdown
from cifar_lab.report import cells

Medium = Literal["md", "html", "latex", "csv", "json", "run", "list", "compare", "sort"]
"""Table that shows columns. `run`, `list` and `compare` are tables of commands, `sort` the keys of `list --sort`."""

T = TypeVar("T")

PAGES = ("md", "html", "latex")
TERMINALS = ("run", "list", "compare")


@dataclass(frozen=True)
class ReportRow:
    """Row of a table, with the answer that it belongs to."""

    row: Row
    answer: Answer | None = None
    """None in a table of arms without a question."""

    @cached_property
    def comparison(self) -> Comparison | None:
        """Comparison of the row with its control. None for the control and without a question."""
        return self.answer.comparison(self.row) if self.answer else None


@dataclass(frozen=True)
class Unit:
    """Unit of a column's values, with their format."""

    symbol: str
    """Added to the header on pages."""
    page: Callable[[Any], str]
    terminal: Callable[[Any], str]


TEXT = Unit("", str, str)
NUMBER = Unit("", str, str)
COUNT = Unit("", "{:,}".format, "{:,}".format)
SHARE = Unit("%", lambda share: f"{100 * share:.2f}", "{:.4f}".format)
"""Fractions from 0 to 1. Pages show them in percent, terminals as they are."""
SECONDS = Unit("s", "{:,.1f}".format, "{:.1f}".format)
P_VALUE = Unit("", cells.p_words, cells.p_words)


@dataclass(frozen=True)
class Column:
    """Column of the tables."""

    name: str
    """Name in the table of columns, and its default header."""
    value: Callable[[ReportRow], Any]
    """Value of a row, None where it has none. summary.csv and answers.json have it unformatted."""
    unit: Unit = NUMBER
    headers: Mapping[Medium, str] | None = None
    """Header in each medium that shows it. None shows it in all, under its name and unit."""
    formats: Mapping[Medium, Callable[[ReportRow], Any]] = field(default_factory=dict)
    """Cell in the media that do not show the value in the unit's format, escaped for the medium."""
    of_sweeps: bool = False
    """Whether pages show it only for a question of a sweep."""
    where_known: bool = False
    """Whether pages show it only for a question of which a row has a value."""
    worth: int = 1
    """Worth on a terminal: the columns of the least worth are left out first where it is narrow. 9 stays always."""

    @property
    def is_text(self) -> bool:
        """Whether it is aligned left."""
        return self.unit is TEXT

    def header(self, medium: Medium, answer: Answer | None = None) -> str:
        """Header in a medium, with the units of the answer's numbers. Empty where it is not shown."""
        if self.headers is not None:
            return _in_units(self.headers.get(medium, ""), medium, answer)
        words = f"{self.name.replace('_', ' ')} {self.unit.symbol}".strip()
        return (cells.latex(words) if medium == "latex" else words) if medium in PAGES else self.name

    def cell(self, medium: Medium, entry: ReportRow) -> Any:
        """Cell of a row: text, or the value itself for summary.csv, answers.json and `--sort`."""
        if medium in self.formats:
            return self.formats[medium](entry)
        value = self.value(entry)
        if medium not in PAGES + TERMINALS:
            return value
        text = "" if value is None else (self.unit.page if medium in PAGES else self.unit.terminal)(value)
        if medium == "latex":
            return cells.latex(text)
        return markdown(text) if medium == "md" and self.is_text else text


def _in_units(header: str, medium: Medium, answer: Answer | None) -> str:
    """The header with the units of a question whose numbers are no shares."""
    if answer is None or medium not in PAGES or answer.control.scale.is_share:
        return header
    scale = answer.control.scale
    return header.replace(r"\%", scale.unit).replace("%", scale.unit, 1).replace("pp", scale.difference_unit)


def _row(read: Callable[[Row], Any]) -> Callable[[ReportRow], Any]:
    return lambda entry: read(entry.row)


def _listed(read: Callable[[Row], Sequence[Any]]) -> Callable[[ReportRow], str]:
    """Values of a list, separated by spaces."""
    return lambda entry: " ".join(map(str, read(entry.row)))


def _found(read: Callable[[Comparison], Any]) -> Callable[[ReportRow], Any]:
    """Value of the comparison. None for the control."""
    return lambda entry: None if (found := entry.comparison) is None else read(found)


def _points(read: Callable[[Comparison], float | None]) -> Callable[[ReportRow], float | None]:
    """Value of the comparison in percentage points. None for a distance, which has none."""
    return _found(lambda found: read(found) if found.scale.is_share else None)


def _in_unit(read: Callable[[Comparison], float | None]) -> Callable[[ReportRow], float | None]:
    """Value of the comparison in the unit of the row's values."""
    return _found(lambda found: None if (value := read(found)) is None else value / found.scale.factor)


def _compared(words: Callable[[Comparison | None], str]) -> Callable[[ReportRow], str]:
    return lambda entry: words(entry.comparison)


def _same(media: str, value: T) -> dict[Medium, T]:
    """The same header or cell in several media."""
    return dict.fromkeys(media.split(), value)  # type: ignore[arg-type]


COLUMNS: list[Column] = [
    Column("question", lambda e: e.answer and e.answer.name, TEXT, {"csv": "question"}),
    Column("title", lambda e: e.answer and e.answer.question.title, TEXT, {"csv": "title"}),
    Column("arm", _row(lambda row: row.label), TEXT,
           _same("md html latex csv run list compare sort", "arm") | {"json": "label"},
           {"md": _row(cells.markdown_label), "latex": _row(cells.latex_label)}, worth=9),
    Column("is_control", _row(lambda row: row.is_control), TEXT, _same("csv json", "is_control"),
           {"csv": _row(lambda row: "yes" if row.is_control else "no")}),
    Column("n", _row(lambda row: row.n), NUMBER, _same("md html csv json run list compare sort", "n"),
           {"html": _row(cells.html_count)}, worth=8),
    Column("mean", _row(lambda row: row.mean), SHARE,
           {"md": "mean %", "html": "mean %, 95 %", "latex": r"mean, \%", "csv": "mean_accuracy", "json": "mean",
            "run": "test accuracy", "sort": "accuracy", **_same("list compare", "test accuracy ± 95 % interval")},
           {"md": _row(cells.mean_words), "html": _row(cells.html_mean), "latex": _row(cells.latex_mean),
            "list": _row(cells.terminal_mean), "compare": _row(cells.terminal_mean)}, worth=9),
    Column("std", _row(lambda row: row.std), SHARE,
           {**_same("md html", "std %"), **_same("json run list sort", "std"), "csv": "std_accuracy"},
           {"run": _row(cells.terminal_std), **_same("md html", _row(cells.std_words))}, worth=7),
    Column("interval", _row(lambda row: row.interval and list(row.interval)), headers={"json": "interval"}),
    Column("min", _row(lambda row: row.minimum), SHARE, {"json": "min"}),
    Column("max", _row(lambda row: row.maximum), SHARE, {"json": "max"}),
    Column("difference_pp", _points(lambda found: found.difference), NUMBER,
           {"md": "vs control", "html": "vs control", "latex": "vs control, pp", "csv": "difference_pp"},
           {"md": _compared(cells.difference_words), "html": _compared(cells.html_difference),
            "latex": _compared(cells.latex_difference)}),
    Column("difference_pairs", _found(lambda found: len(found.seeds)), NUMBER, {"csv": "difference_pairs"}),
    Column("difference_low_pp", _points(lambda found: found.low), NUMBER, {"csv": "difference_low_pp"}),
    Column("difference_high_pp", _points(lambda found: found.high), NUMBER, {"csv": "difference_high_pp"}),
    Column("difference_level", _found(lambda found: found.level), NUMBER, {"csv": "difference_level"}),
    Column("look", _found(lambda found: found.look), NUMBER, {"csv": "look"}),
    Column("method", _found(lambda found: found.method), TEXT, {"csv": "method"}),
    Column("verdict", _found(lambda found: found.verdict), TEXT, _same("md html latex csv", "verdict"),
           {"md": _compared(cells.verdict_words), "html": _compared(cells.html_verdict)}),
    Column("p", _found(lambda found: found.p), P_VALUE, {"csv": "p"}),
    Column("p_holm", _found(lambda found: found.p_holm), P_VALUE,
           {"md": "p", "html": "p (Holm)", "latex": "$p$", "csv": "p_holm"}),
    Column("runs", _row(cells.run_list), headers={"json": "runs"}),
    Column("seeds", _listed(lambda row: [seed for seed, _ in row.values]), TEXT, {"csv": "seeds"}),
    Column("accuracies", _listed(lambda row: [accuracy for _, accuracy in row.values]), TEXT, {"csv": "accuracies"}),
    Column("run_ids", _listed(lambda row: row.run_ids), TEXT, {"csv": "run_ids"}),
    Column("diverged", _row(lambda row: [{"seed": seed, "reason": reason} for seed, reason in row.diverged]), TEXT,
           {"csv": "diverged_seeds", "json": "diverged"},
           {"csv": _listed(lambda row: [seed for seed, _ in row.diverged])}),
    Column("without_score", _row(lambda row: list(row.without_score)), TEXT, {"json": "without_score"}),
    Column("unfinished", _row(lambda row: list(row.unfinished)), TEXT, {"json": "unfinished"}),
    Column("missing_seeds", _row(lambda row: list(row.missing_seeds)), TEXT, _same("csv json", "missing_seeds"),
           {"csv": _listed(lambda row: row.missing_seeds)}),
    Column("validation", _row(lambda row: row.val_mean), SHARE,
           {"csv": "search_val_accuracy", "json": "validation_mean", **_same("md html", "search %"),
            **_same("list sort", "validation")},
           {"csv": lambda e: e.row.val_mean if e.answer and e.answer.sweep else None}, of_sweeps=True, worth=5),
    Column("flip TTA", _row(lambda row: row.tta_mean), SHARE,
           {**_same("md html", "flip TTA %"), "latex": r"flip TTA, \%", "csv": "tta_accuracy", "json": "tta_mean",
            "sort": "tta"}, where_known=True),
    Column("each_seed", _row(lambda row: row.values), TEXT,
           {"md": "each seed %", **_same("run compare", "each seed")},
           {"md": _row(cells.seed_words), "run": _row(cells.run_seeds), "compare": _row(cells.compare_seeds)},
           worth=4),
    Column("seconds", _row(lambda row: row.seconds), SECONDS,
           {**_same("md html", "s/run"), **_same("csv json", "train_seconds_mean"),
            **_same("run compare", "seconds/run"), **_same("list sort", "seconds")}, worth=3),
    Column("epochs", _row(lambda row: row.epochs), NUMBER, _same("md csv json", "epochs")),
    Column("parameters", _row(lambda row: row.parameters), COUNT,
           _same("md html csv json list compare sort", "parameters")),
    Column("frozen_parameters", _row(lambda row: row.frozen_parameters or None), COUNT,
           {**_same("md html", "frozen"), **_same("csv json", "frozen_parameters")}, where_known=True),
    Column("mean_low", _row(lambda row: row.interval and row.interval[0]), SHARE, {"csv": "mean_low"}),
    Column("mean_high", _row(lambda row: row.interval and row.interval[1]), SHARE, {"csv": "mean_high"}),
    Column("data", _row(lambda row: row.data), TEXT, _same("run list sort", "data") | {"csv": "data_set"},
           {"run": _row(lambda row: "synthetic" if row.data == "synthetic" else row.data)}, worth=2),
    Column("fingerprint", _row(lambda row: row.fingerprint), TEXT, {"csv": "data_fingerprint"}),
    Column("not_counted", _row(cells.not_counted), TEXT, {"list": "not counted"}, worth=6),
    Column("command", _row(lambda row: row.command), TEXT, {"json": "command"}),
    Column("measure", lambda e: e.answer and e.answer.quantity, TEXT, {"csv": "measure"}),
    Column("unit", _row(lambda row: row.scale.name), TEXT, {"csv": "unit"}),
    Column("difference", _in_unit(lambda found: found.difference), NUMBER, {"csv": "difference"}),
    Column("difference_low", _in_unit(lambda found: found.low), NUMBER, {"csv": "difference_low"}),
    Column("difference_high", _in_unit(lambda found: found.high), NUMBER, {"csv": "difference_high"}),
]  # fmt: skip
"""All columns, in the order of the tables that are read."""

ORDER: Mapping[Medium, tuple[str, ...]] = {
    "csv": (
        "question", "title", "arm", "is_control", "data", "fingerprint", "n", "mean", "std", "difference_pp",
        "difference_pairs", "seeds", "accuracies", "diverged", "missing_seeds", "validation", "seconds", "epochs",
        "parameters", "mean_low", "mean_high", "difference_low_pp", "difference_high_pp", "method", "verdict", "p",
        "p_holm", "run_ids",
    ),
    "html": ("arm", "verdict", "difference_pp", "p_holm", "mean"),
    "sort": ("arm", "n", "mean", "validation"),
}  # fmt: skip
"""Names that come first, where a published order differs. The others follow, so that new columns stand at the end. On
the page the verdict stands beside the arm, so that a phone shows it."""


def columns_of(medium: Medium, answer: Answer | None = None) -> list[Column]:
    """Columns of a medium, in its order.

    A page leaves out those of sweeps where the question has none, and those of some arms where no row has a value.
    """
    first = ORDER.get(medium, ())
    places = {name: index for index, name in enumerate(first)}
    shown = [
        column for column in COLUMNS
        if column.header(medium) and not (medium in PAGES and _is_left_out(column, answer))
    ]  # fmt: skip
    return sorted(shown, key=lambda column: places.get(column.name, len(first)))


def _is_left_out(column: Column, answer: Answer | None) -> bool:
    """Whether a page has no use for a column."""
    if column.of_sweeps:
        return answer is None or answer.sweep is None
    return column.where_known and (answer is None or not any(column.value(ReportRow(row)) for row in answer.rows))


def headers_of(medium: Medium, answer: Answer | None = None) -> list[str]:
    """Headers of a medium, in its order."""
    return [column.header(medium, answer) for column in columns_of(medium, answer)]


def row_document(entry: ReportRow) -> dict[str, Any]:
    """An arm as answers.json and the `--json` of commands have it."""
    return {column.header("json"): column.cell("json", entry) for column in columns_of("json")}
