"""Report: read the records, answer the lab file, write charts, the page, tables and answers.json."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.data_choice import data_sets
from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.remembered_looks import Viewing
from cifar_lab.analysis.sentences import comparison_sentence, pair_sentences, warning_sentences
from cifar_lab.analysis.verdict_line import pair_lines, verdict_line
from cifar_lab.analysis.winner_sentences import selection_sentences
from cifar_lab.analysis.winners import read_winners, winner_rows, winners_path
from cifar_lab.core.atomic_io import make_folder, write_bytes, write_text
from cifar_lab.core.errors import DataError
from cifar_lab.core.text import plain
from cifar_lab.report.charts.drawing import Drawing, drawing_of
from cifar_lab.report.charts.figure import draw
from cifar_lab.report.charts.style import FigureFormat, boxes_words, figure_bytes
from cifar_lab.report.html import html_page
from cifar_lab.report.json import answers_json, has_answers
from cifar_lab.report.latex import latex_page
from cifar_lab.report.markdown import csv_page, markdown_page
from cifar_lab.store.results import SweepFolder, find_records, runs_folder

Format = Literal["html", "md", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("html", "md", "csv", "json")

FILE_NAMES: dict[Format, str] = {
    "html": "report.html", "md": "report.md", "csv": "summary.csv", "json": "answers.json", "latex": "report.tex",
}  # fmt: skip
"""Name of each format's file in the results folder."""


@dataclass(frozen=True)
class ReportFiles:
    """Files of a report, and what is missing in it."""

    charts: tuple[Path, ...]
    """PNG per question, in the lab file's order."""
    files: tuple[Path, ...]
    """Page and tables, one file per format."""
    data: str | None
    """Name of the data set. None without runs."""
    missing: tuple[str, ...]
    """`question: arm` of each arm without runs."""
    lines: tuple[str, ...]
    """Lines to print: the answer of each question, then what is missing and the commands that make it."""
    faults: tuple[str, ...] = ()
    """Damaged files that were left out, each with the way to make it again."""
    lab: Lab | None = None
    """Questions and answers. None without runs."""


def build_report(
    lab_path: Path | None,
    results: Path,
    overrides: Sequence[str] = (),
    data_name: str | None = None,
    *,
    found: bool = False,
    formats: Sequence[Format] = DEFAULT_FORMATS,
    figures: Sequence[FigureFormat] = ("png",),
    details: bool = False,
) -> ReportFiles:
    """Draw every chart of the report and write its answers into `results`. The same records give the same bytes.

    A report without answers replaces none that has some.

    Args:
        lab_path, results, overrides, data_name, found: as in `answer_folder`.
        formats: formats of the page and tables.
        figures: formats of the charts. PNG is always drawn.
        details: whether the lines have the evidence of each verdict.

    Raises:
        SettingsError: the lab file or a settings file is wrong, or no runs are on the data set asked for.
        EnvironmentFault: the results folder cannot be written.
    """
    lab = answer_folder(lab_path, results, overrides, data_name, found=found, viewing=Viewing())
    if lab.is_found and lab.data is None:
        return ReportFiles((), (), None, (), tuple(_empty_lines(results)), lab.faults)
    make_folder(results)
    drawings = [_drawing(answer, lab) for answer in lab.shown]
    boxes = boxes_words(text for drawing in drawings for text in drawing.texts)
    missing = tuple(
        plain(f"{answer.name}: {row.label}") for answer in lab.asked for row in answer.rows if row.is_missing
    )
    files = [results / FILE_NAMES[kind] for kind in formats]
    kept = [] if lab.has_answers else [path for path in files if path.is_file()] if has_answers(results) else []
    if kept:
        line = f"kept, because this report has no answers and the existing one has: {', '.join(map(str, kept))}"
        return ReportFiles((), (), _name(lab), missing, (*_lines(lab, boxes, details=details), line), lab.faults, lab)
    charts = [results / answer.question.chart for answer in lab.shown]
    for drawing, chart in zip(drawings, charts, strict=True):
        _write_chart(drawing, chart, figures)
    for made, path in zip(formats, files, strict=True):
        write_text(path, report_text(made, lab, results))
    lines = (*_lines(lab, boxes, details=details), _written([*files], len(charts)))
    return ReportFiles(tuple(charts), tuple(files), _name(lab), missing, lines, lab.faults, lab)


def _empty_lines(results: Path) -> list[str]:
    """Lines on a results folder without runs: the folders in it that have some, or the command that makes some."""
    inner = [path for path in sorted(results.glob("*")) if runs_folder(path).is_dir()]
    lines = [f"no runs in {results} yet, so nothing is written"]
    lines += [shlex.join(["next:", "cifar-lab", "report", "--results", path.as_posix()]) for path in inner[:1]]
    return [*lines, *([] if inner else ["next: cifar-lab run configs/baseline.yaml configs/q3_adam.yaml"])]


def _name(lab: Lab) -> str | None:
    return lab.data.name if lab.data else None


def report_text(kind: Format, lab: Lab, results: Path) -> str:
    """Text of the answers in one format, for a file in the folder `results`."""
    makers: dict[Format, Callable[[], str]] = {
        "html": lambda: html_page(lab, results),
        "md": lambda: markdown_page(lab),
        "csv": lambda: csv_page(lab),
        "json": lambda: answers_json(lab),
        "latex": lambda: latex_page(lab),
    }
    return makers[kind]()


def _write_chart(drawing: Drawing, chart: Path, formats: Sequence[FigureFormat]) -> None:
    figure = draw(drawing)
    kinds: list[FigureFormat] = ["png", *(kind for kind in formats if kind != "png")]
    for kind in kinds:
        write_bytes(chart.with_suffix(f".{kind}"), figure_bytes(figure, kind, drawing.texts))


def draw_sweep(results: Path, name: str) -> list[str]:
    """Draw the winners of the sweep called `name` as a PNG named like its folder, on the images that it searched.

    Returns:
        Lines to print.

    Raises:
        DataError: the sweep has no winners yet, or its file is damaged.
        EnvironmentFault: the results folder cannot be written.
    """
    found = read_winners(results, name)
    if found is None:
        raise DataError(f"{winners_path(results, name)}: does not exist; finish the sweep first")
    records = [record for record in find_records(results).records if found.confirms(record)]
    rows = winner_rows(found, records)
    best = f"the best {len(rows) - 1}" if len(rows) > 1 else "no winner"
    title = f"{name}: {best} of {found.points:,} points, and the control"
    if found.search.per:
        title = f"{name}: the best point of each {' and '.join(found.search.per)}"
    drawing = Drawing(title, rows, next(iter(data_sets(records)), None))
    path = results / f"{SweepFolder(results, name).path.name}.png"
    write_bytes(path, figure_bytes(draw(drawing), "png", drawing.texts))
    boxes = boxes_words(drawing.texts)
    return [f"chart: {path}", *([f"note: {boxes}"] if boxes else [])]


def _drawing(answer: Answer, lab: Lab) -> Drawing:
    message = f"{answer.unswept}: {answer.to_sweep}" if answer.to_sweep else ""
    return drawing_of(answer, lab, message)


def _lines(lab: Lab, boxes: str, *, details: bool) -> list[str]:
    """Lines of the report for a terminal."""
    lines = [f"data set: {plain(lab.data.title)}"] if lab.data else ["no runs yet"]
    lines += [f"note: {lab.data_note}"] if lab.data_note else []
    lines += [f"note: {plain(note)}" for note in lab.notices] if lab.is_found else []
    lines += [line for answer in lab.shown for line in _answer_lines(answer, lab.pairs_of(answer), details=details)]
    lines += [f"not answered yet: {', '.join(map(_open_words, lab.unanswered))}"] if lab.unanswered else []
    notices = () if lab.is_found else lab.notices
    lines += [f"note: {plain(note)}" for note in (*notices, *lab.notes)]
    lines += [f"note: {boxes}"] if boxes else []
    lines += [f"to run: {plain(command)}" for command in lab.to_run]
    return lines + [f"to decide: {plain(command)}" for command in lab.to_decide]


def _open_words(answer: Answer) -> str:
    return f"{answer.name} ({answer.unswept})" if answer.to_sweep else answer.name


def _answer_lines(answer: Answer, others: Sequence[Answer], *, details: bool) -> list[str]:
    """Lines of one question for a terminal: the verdict, the numbers of its arms, warnings, and the evidence."""
    arms = [
        f"{row.label} {row.missing_words}" if row.is_missing
        else f"{row.label} diverged" if row.mean is None
        else f"{row.label} {row.scale.short(row.mean)} (n = {row.n})"
        for row in answer.rows
    ]  # fmt: skip
    arms += [answer.unswept] if answer.to_sweep else []
    verdict = verdict_line(answer)
    measured = [
        (found, row)
        for found, row in zip(answer.comparisons, answer.rows[1:], strict=False)
        if found.difference is not None
    ]
    said = list(pair_lines(others))
    said += [f"{'; '.join(arms)} ({answer.question.chart})"]
    if details:
        said += selection_sentences(answer)
        said += [comparison_sentence(found, row, answer.control) for found, row in measured]
        said += pair_sentences(others)
    else:
        warnings = (warning_sentences(found, row, answer.control) for found, row in measured)
        said += list(dict.fromkeys(filter(None, warnings)))
    return [plain(f"{answer.name}: {verdict.mark} {verdict.sentence}"), *(f"  {plain(line)}" for line in said)]


def _written(files: Sequence[Path], charts: int) -> str:
    drawn = f"{charts} {'chart' if charts == 1 else 'charts'}"
    return f"wrote {', '.join(map(str, files))} and {drawn}" if files else f"wrote {drawn}"
