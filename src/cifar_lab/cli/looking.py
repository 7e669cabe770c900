"""What `list` and `show` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cifar_lab.analysis.summary import Row, summarize
from cifar_lab.cli.columns import Columns
from cifar_lab.cli.selecting import RUN_COLUMNS, Selection, arm_columns
from cifar_lab.cli.tables import console, safe
from cifar_lab.config.io import load_settings
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.text import count
from cifar_lab.report.columns import ReportRow, columns_of, headers_of
from cifar_lab.store.failures import read_failure
from cifar_lab.store.records import EpochMetrics, Record, SplitScore
from cifar_lab.store.results import DamagedRecordError, RunFolder, Unusable, find_records, run_ids
from cifar_lab.studies.search_files import pruned_runs

BLOCKS = "▁▂▃▄▅▆▇█"


def print_list(results: Path, selection: Selection = Selection(), *, arms: bool = False) -> None:  # noqa: B008
    """A line a run: the finished ones by label and seed, then those that are under way, interrupted or unusable.

    A filter shows finished runs only; `arms` gives a line an arm.

    Raises:
        SettingsError: a filter names what no run has.
    """
    found = find_records(results)
    records, unusable = found.records, {each.folder.path.name: each for each in found.unusable}
    others = sorted(set(run_ids(results)) - {record.run_id for record in records})
    out, pruned = console(), pruned_runs(results) if others else {}
    if not records and not others:
        out.print(f"no runs in {safe(str(results))} yet; try: cifar-lab quickstart")
        return
    selection.check(records)
    records = list(filter(selection.keeps, records))
    others = [] if selection.filters else others
    if selection.filters and not records:
        out.print("no finished run has that")
        return
    if arms:
        _print_arm_rows(out, selection.ordered(summarize(records), arm_columns()), len(others))
        return
    records = selection.ordered(records, RUN_COLUMNS)
    names = ("run", "arm", "seed", "status", "test", "validation", "epochs", "seconds", "data", "finished")
    table = Columns(*names, right=("seed", "test", "validation", "epochs", "seconds"))
    for record in records:
        table.add(
            record.run_id, record.label, str(record.seed), record.status, _accuracy(record.test),
            _accuracy(record.val), str(record.epochs_trained), f"{record.train_seconds:.1f}", record.data.title,
            record.finished,
        )  # fmt: skip
    for run_id in others:
        folder, fault = RunFolder(results, run_id), unusable.get(run_id)
        state = _unfinished_words(folder, pruned.get(run_id)) if fault is None else _fault_words(fault)
        label, seed = _named(folder)
        table.add(run_id, label, seed, state, "", "", _epochs(folder), "", "", "")
    table.print(out)


def _unfinished_words(folder: RunFolder, pruned_after: int | None) -> str:
    """How far a run without a record is: given up, with the reason in a word; left behind by a search; or under way."""
    state, failure = folder.unfinished_state(), read_failure(folder)
    if state == "interrupted" and failure is not None:
        return f"failed ({failure.kind})"
    return f"pruned after epoch {pruned_after}" if state == "interrupted" and pruned_after else state


def _print_arm_rows(out: Console, rows: Sequence[Row], unfinished: int) -> None:
    """A line an arm: mean and half its 95 % interval, and what of its runs has no accuracy."""
    columns = columns_of("list")
    right = {name for name, column in zip(headers_of("list"), columns, strict=True) if not column.is_text}
    table = Columns(*headers_of("list"), right=right)
    for row in rows:
        table.add(*(str(column.cell("list", ReportRow(row))) for column in columns))
    table.print(out)
    if unfinished:
        out.print(f"and {count(unfinished, 'run')} without a usable record; cifar-lab list shows them")


def _fault_words(unusable: Unusable) -> str:
    """Why a finished run is not counted, in two or three words."""
    if unusable.copy_of:
        return f"copy of {unusable.copy_of}"
    return "damaged" if isinstance(unusable.fault, DamagedRecordError) else "not readable"


def _epochs(folder: RunFolder) -> str:
    """Epochs that metrics.jsonl tells of; empty where it is damaged."""
    try:
        return str(len(folder.read_metrics()))
    except DataError:
        return ""


def _named(folder: RunFolder) -> tuple[str, str]:
    """(arm, seed) of a run without a record, as its settings say; empty where they cannot be read."""
    try:
        settings = load_settings(folder.settings)
    except SettingsError:
        failure = read_failure(folder)  # it may have failed before its settings were written
        return (failure.label, str(failure.seed)) if failure is not None else ("", "")
    return settings.label, " ".join(map(str, settings.seeds))


def print_run(results: Path, wanted: str) -> None:
    """Everything that is known of one run: its record where it is finished, else its settings and curve so far.

    Raises:
        SettingsError: no run has an id that begins like this, or several have.
        DataError: the run's record cannot be used.
    """
    found = [run_id for run_id in run_ids(results) if run_id.startswith(wanted)]
    found = [run_id for run_id in found if run_id == wanted] or found
    if len(found) != 1:
        why = f"{len(found)} runs in {results} begin" if found else f"no run in {results} begins"
        raise SettingsError(f"{wanted!r}: {why} like this; `cifar-lab list --results {results}` shows their ids")
    folder = RunFolder(results, found[0])
    out = console()
    record = folder.read_record()
    if record is None:
        label, seed = _named(folder)
        state = _unfinished_words(folder, pruned_runs(results).get(found[0]))
        out.print(f"{safe(label)} · seed {seed} · {state} · {safe(str(folder.path))}")
        if (failure := read_failure(folder)) is not None:
            out.print(f"why: {safe(failure.reason)} ({failure.when})")
        out.print()
        _print_settings_and_curve(out, folder)
        return
    out.print(f"{safe(record.label)} · seed {record.seed} · {record.status} · {safe(str(folder.path))}")
    if record.reason:
        out.print(f"why: {safe(record.reason)}")
    environment = record.environment
    out.print(
        f"{safe(record.data.title)} ({record.data.train_size:,} training, {record.data.val_size:,} validation, "
        f"{record.data.test_size:,} test images) · {record.parameters:,} parameters · {record.train_seconds:.1f} s on "
        f"{safe(environment.device_name)}, {count(environment.threads, 'thread')} · "
        f"torch {environment.torch}{', own kernels' if environment.kernels == 'own' else ''}"
    )
    if environment.kernels_reason:
        out.print(f"torch's kernels, not our own: {safe(environment.kernels_reason)}")
    for note in record.notes:
        out.print(f"note: {safe(note)}")
    out.print()
    _print_settings_and_curve(out, folder, record)
    score, split = (record.test, "test") if record.test else (record.val, "validation")
    if score is not None:
        out.print(f"\n{split} accuracy {score.accuracy:.4f}, loss {score.loss:.4f}")
        out.print(_class_table(score, record))


def _print_settings_and_curve(out: Console, folder: RunFolder, record: Record | None = None) -> None:
    """settings.yaml as it stands, then the epochs so far."""
    if folder.settings.is_file():
        out.print(folder.settings.read_text(encoding="utf-8").rstrip(), markup=False)
        out.print()
    history = folder.read_metrics(record)
    if history:
        _print_curve(out, history)
    else:
        out.print("no epoch has ended yet")


def _print_curve(out: Console, history: Sequence[EpochMetrics]) -> None:
    """A table an epoch, with a sparkline of each column."""
    table = Table(box=None, pad_edge=False)
    columns: dict[str, list[float | None]] = {
        "epoch": [line.epoch for line in history],
        "lr": [line.lr for line in history],
        "train loss": [line.train_loss for line in history],
        "train accuracy": [line.train_accuracy for line in history],
        "val loss": [line.val_loss for line in history],
        "val accuracy": [line.val_accuracy for line in history],
        "seconds": [line.seconds for line in history],
    }
    shown = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    for name in shown:
        table.add_column(name, justify="right")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(_number(name, value) for name, value in zip(shown, row, strict=True)))
    table.add_row(*(spark(values) if name not in ("epoch", "seconds") else "" for name, values in shown.items()))
    out.print(table)


def spark(values: Sequence[float | None]) -> str:
    """A row of blocks as high as the values, of at most 20 of them; a gap for None."""
    step = max(1, -(-len(values) // 20))
    kept = list(values[::step])
    known = [value for value in kept if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = (high - low) or 1.0
    return "".join(" " if value is None else BLOCKS[int((value - low) / width * (len(BLOCKS) - 1))] for value in kept)


def _class_table(score: SplitScore, record: Record) -> Table:
    """Accuracy of each class, and which classes its images were taken for (row: true, column: predicted)."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    few = len(record.data.classes) <= 20
    for number, name in enumerate(record.data.classes):
        if few:
            table.add_column(safe(name)[:6] or str(number), justify="right")
    for name, accuracy, row in zip(record.data.classes, score.per_class, score.confusion, strict=True):
        table.add_row(safe(name), f"{accuracy:.3f}", *(map(str, row) if few else ()))
    return table


def _accuracy(score: SplitScore | None) -> str:
    return "" if score is None else f"{score.accuracy:.4f}"


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if name == "epoch" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
