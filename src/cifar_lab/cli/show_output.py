"""Output of `show`: a run with its settings, curve and confusion, or an arm or sweep with its runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cifar_lab.analysis.arms import options
from cifar_lab.analysis.comparison_targets import ComparisonTarget, find_target
from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.finished_runs import find_folder
from cifar_lab.analysis.summary import arm_row
from cifar_lab.analysis.winner_sentences import winner_sentence
from cifar_lab.cli.output import Output
from cifar_lab.cli.tables import arms_table, runs_table, share
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.cli.unfinished import history, label_and_seed, unfinished_settings, unfinished_words
from cifar_lab.config import Settings
from cifar_lab.config.io.load import dump_settings
from cifar_lab.core.errors import DataError
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.store.failures import read_failure
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.notes import Notes, read_notes
from cifar_lab.store.records import EpochMetrics, Record, SplitScore
from cifar_lab.store.results import RunFolder, Unusable, existing_results, find_records
from cifar_lab.studies.documents import pruned_runs

SHOWN_DIGITS = 8
"""Digits of a run id in a command."""

BLOCKS = "▁▂▃▄▅▆▇█"

SPARK_EPOCHS = 3
"""Fewest epochs whose curve is drawn."""

CONFUSION_CLASSES = 20
"""Largest number of classes whose confusion matrix is printed."""

HEADER_LETTERS = 4
"""Letters of a class above a column of the confusion matrix."""


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


CURVE_COLUMNS = (
    TableColumn("epoch", "epoch", right=True),
    TableColumn("lr", "lr", worth=3, right=True, cell=_rate),
    TableColumn("train loss", "train_loss", worth=5, right=True, cell=share),
    TableColumn("train accuracy", "train_accuracy", worth=6, right=True, cell=share),
    TableColumn("val loss", "val_loss", worth=4, right=True, cell=share),
    TableColumn("val accuracy", "val_accuracy", worth=7, right=True, cell=share),
    TableColumn("seconds", "seconds", worth=2, right=True, cell=share),
)


def print_target(results: Path, name: str, overrides: Sequence[str] = (), *, as_json: bool = False) -> None:
    """Print the run whose id starts with `name`, else what `compare` takes under this name.

    Raises:
        SettingsError: nothing, or several things, have this name.
        DataError: the record is unusable.
    """
    out, folder = Output("show", as_json=as_json), find_folder(existing_results(results), name)
    if folder is None:
        target = find_target(name, results, find_records(results).records, overrides)
        if target.kind != "run":
            _print_arm(out, target, results)
            out.close()
            return
        folder = RunFolder(results, target.records[0].run_id)
    _print_run(out, folder, results)
    out.close()


def _print_arm(out: Output, target: ComparisonTarget, results: Path) -> None:
    """Print an arm or the winner of a sweep: its row, its runs and its settings."""
    out.table(arms_table("list", [arm_row(target.label, target.records)]), "arms")
    out.line()
    notes = {record.run_id: read_notes(RunFolder(results, record.run_id)) for record in target.records}
    out.table(runs_table(target.records, {key: each for key, each in notes.items() if each != Notes()}), "runs")
    if target.selection_bias:
        out.line()
        out.wrapped(winner_sentence(target.selection_bias), "sentences")
    _print_settings(out, _recorded_settings(target.records[0]))


def _print_run(out: Output, folder: RunFolder, results: Path) -> None:
    """Print the record of a finished run, or the state of another, with settings and curve."""
    try:
        record = folder.read_record()
    except DataError as fault:
        raise DataError(Unusable(folder, fault).message) from fault
    out.value("run_id", folder.path.name)
    out.value("folder", str(folder.path))
    if record is None:
        _print_unfinished(out, folder, results)
        return
    _print_heading(out, folder, record)
    _print_settings(out, _recorded_settings(record))
    _print_curve(out, folder, record)
    for split, score in (("test", record.test), ("validation", record.val)):
        out.value(split, None if score is None else score.model_dump(mode="json"))
    score, split = (record.test, "test") if record.test else (record.val, "validation")
    if score is not None:
        out.line()
        own = "".join(f", {name} {share(value)}" for name, value in score.metrics.items())
        out.line(f"{split} accuracy {score.accuracy:.4f}, loss {score.loss:.4f}{own}")
        out.table(_class_table(score, record), "classes")
    if folder.weights.name in record.files:
        run = shlex.join([record.run_id[:SHOWN_DIGITS], *options(results, ())])
        out.line()
        out.line(f"to classify images: cifar-lab predict {run} IMAGE")
        out.line(f"to export: cifar-lab export {run} --format onnx")


def _recorded_settings(record: Record) -> Settings | None:
    """Settings of a record. None where this version cannot read them, which is named."""
    try:
        return settings_of(record)
    except DataError as fault:
        leave_out(fault)
        return None


def _print_unfinished(out: Output, folder: RunFolder, results: Path) -> None:
    settings = unfinished_settings(folder, DatasetCatalog())
    label, seed = label_and_seed(folder, settings)
    state = unfinished_words(folder, pruned_runs(results).get(folder.path.name))
    _print_first_line(out, folder, label, seed, state)
    if (failure := read_failure(folder)) is not None:
        out.wrapped(f"why: {failure.reason} ({failure.when})", "reasons")
    _print_settings(out, settings)
    _print_curve(out, folder)


def _print_first_line(out: Output, folder: RunFolder, label: str, seed: int | None, state: str) -> None:
    out.line(f"{label} · seed {'' if seed is None else seed} · {state} · {folder.path}")
    notes = read_notes(folder)
    for key, value in (("label", label), ("seed", seed), ("status", state)):
        out.value(key, value)
    if notes != Notes():
        out.value("tags", list(notes.tags))
        out.value("note", notes.note)
    for line in notes_lines(notes):
        out.wrapped(line)


def notes_lines(notes: Notes) -> list[str]:
    """Lines on the tags and the note of a run."""
    lines = [f"tags: {', '.join(notes.tags)}"] if notes.tags else []
    return [*lines, *([f"your note: {notes.note}"] if notes.note else [])]


def _print_heading(out: Output, folder: RunFolder, record: Record) -> None:
    """Print label, seed and status, then data, size, time and environment of a finished run."""
    _print_first_line(out, folder, record.label, record.seed, record.status)
    if record.reason:
        out.wrapped(f"why: {record.reason}", "reasons")
    environment = record.environment
    own = "C kernels" if environment.device == "cpu" else "block kernel"
    out.wrapped(
        f"{_images(record)} ({record.data.train_size:,} training, {record.data.val_size:,} validation, "
        f"{record.data.test_size:,} test images) · {_parameters(record)} · {record.train_seconds:.1f} s on "
        f"{environment.device_name}, {count(environment.threads, 'thread')} · "
        f"torch {environment.torch}{f', {own}' if environment.kernels == 'own' else ''}"
    )
    out.value("data", record.data.model_dump(mode="json"))
    out.value("parameters", record.parameters)
    if record.frozen_parameters:
        out.value("frozen_parameters", record.frozen_parameters)
    out.value("train_seconds", record.train_seconds)
    out.value("finished", record.finished)
    out.value("environment", environment.model_dump(mode="json"))
    if environment.kernels_reason:
        out.wrapped(f"torch's kernels, not the {own}: {environment.kernels_reason}")
    for note in record.notes:
        out.wrapped(f"note: {note}", "notes")


def _images(record: Record) -> str:
    """Name of the data set, with the choice of classes and images where the settings make one."""
    chosen = record.settings.get("data", {})
    few = chosen.get("images_per_class")
    return ", ".join([
        record.data.title,
        *([f"classes {', '.join(record.data.classes)}"] if chosen.get("classes") else []),
        *([f"at most {few:,} training images per class"] if few else []),
    ])  # fmt: skip


def _parameters(record: Record) -> str:
    """Numbers of trained and of frozen parameters."""
    if not record.frozen_parameters:
        return f"{record.parameters:,} parameters"
    return f"{record.parameters:,} trained and {record.frozen_parameters:,} frozen parameters"


def _print_settings(out: Output, settings: Settings | None) -> None:
    out.value("settings", None if settings is None else settings.model_dump(mode="json"))
    out.line()
    if settings is not None:
        out.text(dump_settings(settings).rstrip())
        out.line()


def _print_curve(out: Output, folder: RunFolder, record: Record | None = None) -> None:
    """Print a row per epoch, and a sparkline below each column."""
    epochs = history(folder, record)
    if not epochs:
        out.value("epochs", None if epochs is None else [])
        if epochs is not None:
            out.line("no epoch has ended yet")
        return
    *columns, seconds = CURVE_COLUMNS
    metrics = dict.fromkeys(name for line in epochs for name in line.metrics)
    columns += [TableColumn(name, name, worth=5, right=True, cell=share) for name in metrics]
    values = {column.key: [_value(line, column.key) for line in epochs] for column in (*columns, seconds)}
    shown = [column for column in (*columns, seconds) if any(value is not None for value in values[column.key])]
    table = TextTable(*shown)
    for row, line in enumerate(epochs):
        table.add(*(values[column.key][row] for column in shown), document=partial(_epoch_document, line))
    if len(epochs) >= SPARK_EPOCHS:
        table.add_line(*("" if each.key in ("epoch", "seconds") else spark(values[each.key]) for each in shown))
    out.table(table, "epochs")


def _value(line: EpochMetrics, key: str) -> float | None:
    """Number of an epoch, also a metric of the user."""
    found: float | None = line.metrics[key] if key in line.metrics else getattr(line, key, None)
    return found


def _epoch_document(line: EpochMetrics) -> dict[str, Any]:
    document: dict[str, Any] = {column.key: getattr(line, column.key) for column in CURVE_COLUMNS}
    return {**document, **({"metrics": line.metrics} if line.metrics else {})}


def spark(values: Sequence[float | None]) -> str:
    """Sparkline of at most 20 of the values, with a gap for None."""
    step = max(1, -(-len(values) // 20))
    kept = list(values[::step])
    known = [value for value in kept if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = (high - low) or 1.0
    return "".join(" " if value is None else BLOCKS[int((value - low) / width * (len(BLOCKS) - 1))] for value in kept)


def _class_table(score: SplitScore, record: Record) -> TextTable:
    """Accuracy per class, and the confusion matrix (row: true class, column: predicted)."""
    classes = record.data.classes
    names = list(classes) if len(classes) <= CONFUSION_CLASSES else []
    columns = [TableColumn("class", "class"), TableColumn("accuracy", "accuracy", right=True, cell=_class_share)]
    for number, name in enumerate(names):
        header = " ".join(name.split())[:HEADER_LETTERS] or str(number)
        columns.append(TableColumn(header, worth=1, right=True, group="confusion matrix"))
    table = TextTable(*columns)
    for name, accuracy, row in zip(classes, score.per_class, score.confusion, strict=True):
        document = partial(_class_document, name, accuracy, dict(zip(classes, row, strict=True)))
        table.add(name, accuracy, *(row if names else ()), document=document)
    return table


def _class_document(name: str, accuracy: float, predicted: dict[str, int]) -> dict[str, Any]:
    return {"class": name, "accuracy": accuracy, "predicted": predicted}


def _class_share(value: float) -> str:
    return f"{value:.3f}"
