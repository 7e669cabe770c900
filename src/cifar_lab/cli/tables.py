"""Tables of arms, of runs and of planned runs, and the words that commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich.text import Text

from cifar_lab.analysis.chance import chance_sentence, is_at_chance
from cifar_lab.analysis.data_choice import data_sets
from cifar_lab.analysis.labels import distinct_labels, labelled, labelled_record
from cifar_lab.analysis.summary import Row, arm_row, recipe_key
from cifar_lab.cli.output import Output
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.config import Settings
from cifar_lab.core.terminal import console
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch
from cifar_lab.progress.lines import plan_line
from cifar_lab.report.columns import Medium, ReportRow, columns_of, row_document
from cifar_lab.store.notes import Notes
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

STATE_WORDS = {
    "done": "already done",
    "untested": "trained; to test",
    "interrupted": "to resume",
    "missing": "to train",
}


PLAN_COLUMNS = (
    TableColumn("run", "run_id", worth=3),
    TableColumn("arm", "label"),
    TableColumn("seed", "seed", right=True),
    TableColumn("state", "state"),
    TableColumn("epochs", "epochs", worth=2, right=True),
)


def share(value: float | None) -> str:
    """Cell of an accuracy."""
    return "" if value is None else f"{value:.4f}"


def seconds(value: float | None) -> str:
    """Cell of a time in seconds."""
    return "" if value is None else f"{value:.1f}"


LIST_COLUMNS = (
    TableColumn("run", "run_id"),
    TableColumn("arm", "label"),
    TableColumn("seed", "seed", worth=8, right=True),
    TableColumn("status", "status", worth=7),
    TableColumn("test accuracy", "test_accuracy", right=True, cell=share),
    TableColumn("validation accuracy", "validation_accuracy", worth=5, right=True, cell=share),
    TableColumn("epochs", "epochs", worth=3, right=True),
    TableColumn("seconds", "train_seconds", worth=2, right=True, cell=seconds),
    TableColumn("data", "data", worth=4),
    TableColumn("finished", "finished", worth=1),
)


NOTES_COLUMNS = (
    TableColumn("tags", "tags", worth=6, cell=", ".join),
    TableColumn("note", "note", worth=6),
)


def arms_table(medium: Medium, rows: Sequence[Row]) -> TextTable:
    """A line per arm, with the columns of the report that the command shows. Under `--json`, as in answers.json."""
    columns = columns_of(medium)
    table = TextTable(*(TableColumn(c.header(medium), worth=c.worth, right=not c.is_text) for c in columns))
    for row in rows:
        entry = ReportRow(row)
        table.add(*(column.cell(medium, entry) for column in columns), document=partial(row_document, entry))
    return table


def print_plan(arms: Sequence[Settings], planned: Sequence[PlannedRun] | None, out: Output | None = None) -> None:
    """Print each run of a dry run with its state."""
    out = out or Output("run")
    if planned is None:
        runs = sum(len(settings.seeds) for settings in arms)
        out.value("runs", None)
        out.wrapped(
            f"{count(runs, 'run')} of {count(len(arms), 'arm')}. The images have not been prepared yet, so it is not "
            "known which runs already exist.",
            "notes",
        )
        return
    table = TextTable(*PLAN_COLUMNS)
    for run in planned:
        job = run.job
        state = STATE_WORDS[run.state] + (f"; failed before ({run.failure.kind})" if run.failure is not None else "")
        if run.state != "done" and RunFolder(job.results, job.run_id).holder() is not None:
            state = "held by another command"
        table.add(job.run_id, job.settings.label, job.seed, state, job.settings.epochs)
    out.table(table, "runs")
    out.wrapped(plan_line(planned))


def print_arms(arms: Sequence[Settings], runs: RunBatch, out: Output | None = None) -> None:
    """Print one line per arm of a command, then the arms at chance and the failed runs.

    Arms that share their runs have a line each. Arms without a record have none.
    """
    out = out or Output("run")
    rows = _rows(arms, runs)
    if rows or out.as_json:
        out.table(arms_table("run", rows), "arms")
    data = {each.fingerprint: each for each in data_sets(runs.records)}
    for row in rows:
        if is_at_chance(row, data[row.fingerprint]):
            out.wrapped(chance_sentence(row, data[row.fingerprint]), "notes")
    if runs.held:
        out.wrapped(held_line(runs.held), "notes")
    failed = [outcome for outcome in runs.outcomes if outcome.status == "failed"]
    out.value("failed", [{"run": each.job.name, "reason": each.reason or ""} for each in failed])
    for outcome in failed if not out.as_json else ():
        line = f"failed {plain(outcome.job.name)}: {plain(outcome.reason or '')}"
        console().print(Text.assemble((line[:6], "red"), line[6:]), soft_wrap=True)


def held_line(held: int) -> str:
    """Note on runs that the command skipped."""
    return f"{count(held, 'run')} held by another command and skipped; with --wait, the command waits for them"


def _rows(arms: Sequence[Settings], runs: RunBatch) -> list[Row]:
    """Row of each arm that has a record."""
    images = DatasetCatalog()
    records = {record.run_id: record for record in runs.records}
    labels = distinct_labels([labelled(arm) for arm in arms])
    ids = [tuple(i for i in run_ids_of(arm, images) if i in records) for arm in arms]
    found = dict.fromkeys(zip(labels, ids, strict=True))
    return [arm_row(label, [records[i] for i in run_ids]) for label, run_ids in found if run_ids]


def runs_table(records: Sequence[Record], notes: Mapping[str, Notes] | None = None) -> TextTable:
    """A line per finished run. Tags and notes have columns where a run has some."""
    notes = notes or {}
    columns = NOTES_COLUMNS if notes else ()
    table = TextTable(*LIST_COLUMNS, *columns)
    for record, label in zip(records, _run_labels(records), strict=True):
        table.add(
            record.run_id, label, record.seed, record.status, record.test and record.test.accuracy,
            record.val and record.val.accuracy, record.epochs_trained, record.train_seconds, record.data.title,
            record.finished, *notes_cells(record.run_id, notes),
        )  # fmt: skip
    return table


def notes_cells(run_id: str, notes: Mapping[str, Notes]) -> tuple[object, ...]:
    """Tags and note of a run. Nothing where no run has any."""
    found = notes.get(run_id, Notes())
    return (list(found.tags), found.note) if notes else ()


def _run_labels(records: Sequence[Record]) -> list[str]:
    """Label of each run. Runs of arms with one label that differ have labels that name what differs."""
    arms = {(recipe_key(record.recipe), record.data.fingerprint, record.label): record for record in records}
    labels = dict(zip(arms, distinct_labels([labelled_record(record) for record in arms.values()]), strict=True))
    return [labels[recipe_key(record.recipe), record.data.fingerprint, record.label] for record in records]
