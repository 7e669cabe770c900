"""The report command: read the records, answer the sheet, write charts, report.md and summary.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.durable import make_folder, write_bytes, write_text
from cifar_lab.errors import DataError
from cifar_lab.report.answers import Answer
from cifar_lab.report.answers_json import answers_json
from cifar_lab.report.charts import draw_accuracy, png
from cifar_lab.report.datachoice import data_sets
from cifar_lab.report.page import csv_page, markdown_page
from cifar_lab.report.questions import answer_sheet
from cifar_lab.report.winners import read_winners, winner_rows, winners_path
from cifar_lab.results import SweepFolder, find_records
from cifar_lab.safe_text import plain


@dataclass(frozen=True)
class ReportFiles:
    """What a report wrote, and what it could not show."""

    charts: tuple[Path, ...]
    """A chart a question, in the sheet's order."""
    page: Path
    table: Path
    data: str | None
    """Name of the data set; None without runs."""
    missing: tuple[str, ...]
    """`question: arm` of each arm without runs."""
    lines: tuple[str, ...]
    """What to print: a line a question, then what is missing and how to make it."""
    faults: tuple[str, ...] = ()
    """Damaged files that were left out, each with the way to make it again."""


def build_report(
    sheet_path: Path, results: Path, overrides: Sequence[str] = (), data_name: str | None = None
) -> ReportFiles:
    """Draw every chart of the sheet and write report.md and summary.csv into `results`.

    Raises:
        SettingsError: the sheet or a settings file is wrong, or there are no runs on the data set asked for.
        EnvironmentFault: the results folder cannot be written.
    """
    lab = answer_sheet(sheet_path, results, overrides, data_name)
    make_folder(results)
    charts = []
    for answer in lab.answers:
        message = f"{answer.unswept}: {answer.to_sweep}" if answer.to_sweep else ""
        chart = results / answer.question.chart
        write_bytes(chart, png(draw_accuracy(answer.question.title, answer.rows, lab.data, message)))
        charts.append(chart)
    page, table, answers = results / "report.md", results / "summary.csv", results / "answers.json"
    write_text(page, markdown_page(lab))
    write_text(table, csv_page(lab))
    write_text(answers, answers_json(lab))
    missing = tuple(
        plain(f"{answer.name}: {row.label}") for answer in lab.answers for row in answer.rows if row.is_missing
    )
    lines = [f"data set: {plain(lab.data.title)}"] if lab.data else ["no runs yet"]
    lines += [f"note: {lab.data_note}"] if lab.data_note else []
    lines += [line for answer in lab.answers for line in _lines(answer)]
    lines += [f"note: {plain(note)}" for note in lab.notes]
    lines += [f"to run: {plain(command)}" for command in lab.to_run]
    lines += [f"wrote {page}, {table}, {answers} and {len(charts)} {'chart' if len(charts) == 1 else 'charts'}"]
    return ReportFiles(
        tuple(charts), page, table, lab.data.name if lab.data else None, missing, tuple(lines), lab.faults
    )


def draw_sweep(results: Path, name: str) -> Path:
    """Draw the winners of the sweep called `name` as a PNG named like its folder, on the images that it searched.

    Raises:
        DataError: the sweep has no winners yet, or its file is damaged.
        EnvironmentFault: the results folder cannot be written.
    """
    found = read_winners(results, name)
    if found is None:
        raise DataError(f"{winners_path(results, name)}: not there; run the sweep to its end first")
    records = [record for record in find_records(results).records if found.confirms(record)]
    data = next(iter(data_sets(records)), None)
    rows = winner_rows(found, records)
    best = f"the best {len(rows) - 1}" if len(rows) > 1 else "no winner"
    title = f"{name}: {best} of {found.points:,} points, and the control"
    path = results / f"{SweepFolder(results, name).path.name}.png"
    write_bytes(path, png(draw_accuracy(title, rows, data)))
    return path


def _lines(answer: Answer) -> list[str]:
    """One question for a terminal: its numbers in a line, then the answer in words."""
    arms = [
        f"{row.label} no runs yet" if row.is_missing
        else f"{row.label} diverged" if row.mean is None
        else f"{row.label} {100 * row.mean:.1f} % (n = {row.n})"
        for row in answer.rows
    ]  # fmt: skip
    arms += [answer.unswept] if answer.to_sweep else []
    head = plain(f"{answer.name} ({answer.question.chart}): " + "; ".join(arms))
    said = [each.sentence for each in answer.comparisons if each.points is not None]
    said += [answer.luck.sentence] if answer.luck else []
    return [head, *(f"  {plain(sentence)}" for sentence in said)]
