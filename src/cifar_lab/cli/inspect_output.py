"""Output of `list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.labels import distinct_labels, labelled_record
from cifar_lab.analysis.summary import Row, recipe_key, summarize
from cifar_lab.cli.selection import RUN_COLUMNS, Selection, arm_columns
from cifar_lab.cli.tables import Columns
from cifar_lab.config import Settings
from cifar_lab.config.io.load import dump_settings, load_settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import DataError, LabError, SettingsError
from cifar_lab.core.terminal import console
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
from cifar_lab.report.columns import ReportRow, columns_of, headers_of
from cifar_lab.store.failures import read_failure
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import EpochMetrics, Record, SplitScore
from cifar_lab.store.results import (
    DamagedFileError,
    DamagedRecordError,
    RunFolder,
    Unusable,
    existing_results,
    find_records,
    run_ids,
)
from cifar_lab.studies.documents import pruned_runs

BLOCKS = "▁▂▃▄▅▆▇█"


def print_list(results: Path, selection: Selection = Selection(), *, arms: bool = False) -> None:  # noqa: B008
    """Print one line per run: finished runs by label and seed, then running, interrupted and unusable ones.

    Args:
        selection: with a filter, finished runs alone are printed.
        arms: print one line per arm instead.

    Raises:
        SettingsError: a filter on an unknown key.
    """
    found = find_records(existing_results(results))
    records, unusable = found.records, {each.folder.path.name: each for each in found.unusable}
    others = sorted(set(run_ids(results)) - {record.run_id for record in records})
    out = console()
    if not records and not others:
        out.print(f"no runs in {plain(str(results))} yet; try: cifar-lab quickstart")
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
    _print_runs(out, selection.ordered(records, RUN_COLUMNS), others, unusable, results)


def _print_runs(
    out: Console, records: Sequence[Record], others: Sequence[str], unusable: Mapping[str, Unusable], results: Path
) -> None:
    """Print finished runs, then the runs `others` without a usable record."""
    pruned, images = pruned_runs(results) if others else {}, DatasetCatalog()
    names = ("run", "arm", "seed", "status", "test", "validation", "epochs", "seconds", "data", "finished")
    table = Columns(*names, right=("seed", "test", "validation", "epochs", "seconds"))
    for record, label in zip(records, _labels(records), strict=True):
        table.add(
            record.run_id, label, str(record.seed), record.status, _accuracy(record.test),
            _accuracy(record.val), str(record.epochs_trained), f"{record.train_seconds:.1f}", record.data.title,
            record.finished,
        )  # fmt: skip
    for name in others:
        folder, fault = RunFolder(results, name), unusable.get(name)
        state = _unfinished_words(folder, pruned.get(name)) if fault is None else _fault_words(fault)
        settings = _unfinished_settings(folder, images)
        label, seed = _label_and_seed(folder, settings)
        table.add(name, label, seed, state, "", "", _epochs(folder), "", "", "")
    table.print(out)


def _labels(records: Sequence[Record]) -> list[str]:
    """Label of each run. Runs of arms with one label that differ have labels that name what differs."""
    arms = {(recipe_key(record.recipe), record.data.fingerprint, record.label): record for record in records}
    labels = dict(zip(arms, distinct_labels([labelled_record(record) for record in arms.values()]), strict=True))
    return [labels[recipe_key(record.recipe), record.data.fingerprint, record.label] for record in records]


def _unfinished_words(folder: RunFolder, pruned_after: int | None) -> str:
    """State of a run without a record: failed, pruned, running or interrupted."""
    state, failure = folder.unfinished_state(), read_failure(folder)
    if state == "interrupted" and failure is not None:
        return f"failed ({failure.kind})"
    return f"pruned after epoch {pruned_after}" if state == "interrupted" and pruned_after else state


def _print_arm_rows(out: Console, rows: Sequence[Row], unfinished: int) -> None:
    """Print one line per arm, with the runs that its mean leaves out."""
    columns = columns_of("list")
    right = {name for name, column in zip(headers_of("list"), columns, strict=True) if not column.is_text}
    table = Columns(*headers_of("list"), right=right)
    for row in rows:
        table.add(*(str(column.cell("list", ReportRow(row))) for column in columns))
    table.print(out)
    if unfinished:
        out.print(f"and {count(unfinished, 'run')} without a usable record; cifar-lab list shows them")


def _fault_words(unusable: Unusable) -> str:
    """Reason why a finished run is not counted."""
    if unusable.copy_of:
        return f"copy of {unusable.copy_of}"
    return "damaged" if isinstance(unusable.fault, DamagedRecordError) else "not readable"


def _epochs(folder: RunFolder) -> str:
    """Number of epochs in metrics.jsonl. Empty where it is damaged."""
    history = _history(folder)
    return "" if history is None else str(len(history))


def _history(folder: RunFolder, record: Record | None = None) -> list[EpochMetrics] | None:
    """Epochs of a run. None where their file is damaged, which is named."""
    try:
        return folder.read_metrics(record)
    except DamagedFileError as fault:
        leave_out(folder.left_out(fault.path, fault.what))
        return None


def _unfinished_settings(folder: RunFolder, images: DatasetCatalog) -> Settings | None:
    """Settings of a run without a record. None where they are missing or damaged, which is named."""
    begun = folder.has_checkpoint() or folder.metrics.exists()
    if not folder.settings.exists() and not begun:
        return None  # it failed, or was stopped, before its settings were written
    try:
        settings = load_settings(folder.settings)
    except SettingsError:
        leave_out(folder.left_out(folder.settings, "is missing or damaged"))
        return None
    if _expected_id(settings, images) not in (None, folder.path.name):
        leave_out(folder.left_out(folder.settings, "is damaged (its settings are those of another run)"))
        return None
    return settings


def _expected_id(settings: Settings, images: DatasetCatalog) -> str | None:
    """Id of the run of these settings. None where its images, or the files that it names, are not there."""
    try:
        info = images.known(settings.data)
        return None if info is None else run_id(recipe(settings), info.fingerprint, settings.seeds[0])
    except LabError:
        return None


def _label_and_seed(folder: RunFolder, settings: Settings | None) -> tuple[str, str]:
    """Label and seed of a run without a record, from its settings or its failure. Empty where neither can be read."""
    if settings is not None:
        return settings.label, " ".join(map(str, settings.seeds))
    failure = read_failure(folder)
    return (failure.label, str(failure.seed)) if failure is not None else ("", "")


def print_run(results: Path, wanted: str) -> None:
    """Print the record of a finished run, or the state of another, with settings and curve.

    Raises:
        SettingsError: no run id, or several, begin with `wanted`.
        DataError: the record is unusable.
    """
    folder = _find_run(existing_results(results), wanted)
    try:
        record = folder.read_record()
    except DataError as fault:
        raise DataError(Unusable(folder, fault).message) from fault
    out = console()
    if record is None:
        _print_unfinished(out, folder, results)
        return
    _print_heading(out, folder, record)
    _print_settings_and_curve(out, folder, _recorded_settings(folder, record), record)
    score, split = (record.test, "test") if record.test else (record.val, "validation")
    if score is not None:
        out.print(f"\n{split} accuracy {score.accuracy:.4f}, loss {score.loss:.4f}")
        out.print(_class_table(score, record))


def _recorded_settings(folder: RunFolder, record: Record) -> Settings | None:
    """Settings of a record. None where this version cannot read them, which is named."""
    try:
        return settings_of(record)
    except DataError as fault:
        leave_out(fault)
        return None


def _find_run(results: Path, wanted: str) -> RunFolder:
    """Run whose id is `wanted`, or the only one that begins so.

    Raises:
        SettingsError: no run or several.
    """
    found = [run_id for run_id in run_ids(results) if run_id.startswith(wanted)]
    found = [run_id for run_id in found if run_id == wanted] or found
    if len(found) != 1:
        why = f"{len(found)} runs in {results} begin" if found else f"no run in {results} begins"
        raise SettingsError(f"{wanted!r}: {why} like this; `cifar-lab list --results {results}` shows their ids")
    return RunFolder(results, found[0])


def _print_unfinished(out: Console, folder: RunFolder, results: Path) -> None:
    settings = _unfinished_settings(folder, DatasetCatalog())
    label, seed = _label_and_seed(folder, settings)
    state = _unfinished_words(folder, pruned_runs(results).get(folder.path.name))
    out.print(f"{plain(label)} · seed {seed} · {state} · {plain(str(folder.path))}")
    if (failure := read_failure(folder)) is not None:
        out.print(f"why: {plain(failure.reason)} ({failure.when})")
    out.print()
    _print_settings_and_curve(out, folder, settings)


def _print_heading(out: Console, folder: RunFolder, record: Record) -> None:
    """Print label, seed and status, then data, size, time and environment of a finished run."""
    out.print(f"{plain(record.label)} · seed {record.seed} · {record.status} · {plain(str(folder.path))}")
    if record.reason:
        out.print(f"why: {plain(record.reason)}")
    environment = record.environment
    out.print(
        f"{plain(record.data.title)} ({record.data.train_size:,} training, {record.data.val_size:,} validation, "
        f"{record.data.test_size:,} test images) · {record.parameters:,} parameters · {record.train_seconds:.1f} s on "
        f"{plain(environment.device_name)}, {count(environment.threads, 'thread')} · "
        f"torch {environment.torch}{', own kernels' if environment.kernels == 'own' else ''}"
    )
    if environment.kernels_reason:
        out.print(f"torch's kernels, not our own: {plain(environment.kernels_reason)}")
    for note in record.notes:
        out.print(f"note: {plain(note)}")
    out.print()


def _print_settings_and_curve(
    out: Console, folder: RunFolder, settings: Settings | None, record: Record | None = None
) -> None:
    """Print the settings and the epochs so far."""
    if settings is not None:
        out.print(dump_settings(settings).rstrip())
        out.print()
    history = _history(folder, record)
    if history:
        _print_curve(out, history)
    elif history is not None:
        out.print("no epoch has ended yet")


def _print_curve(out: Console, history: Sequence[EpochMetrics]) -> None:
    """Print a row per epoch, and a sparkline below each column."""
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
    """Sparkline of at most 20 of the values, with a gap for None."""
    step = max(1, -(-len(values) // 20))
    kept = list(values[::step])
    known = [value for value in kept if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = (high - low) or 1.0
    return "".join(" " if value is None else BLOCKS[int((value - low) / width * (len(BLOCKS) - 1))] for value in kept)


def _class_table(score: SplitScore, record: Record) -> Table:
    """Accuracy per class, and the confusion matrix (row: true class, column: predicted)."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    few = len(record.data.classes) <= 20
    for number, name in enumerate(record.data.classes):
        if few:
            table.add_column(plain(name)[:6] or str(number), justify="right")
    for name, accuracy, row in zip(record.data.classes, score.per_class, score.confusion, strict=True):
        table.add_row(plain(name), f"{accuracy:.3f}", *(map(str, row) if few else ()))
    return table


def _accuracy(score: SplitScore | None) -> str:
    return "" if score is None else f"{score.accuracy:.4f}"


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if name == "epoch" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
