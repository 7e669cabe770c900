"""Output of `list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cifar_lab.analysis.factors import settings_of
from cifar_lab.analysis.labels import distinct_labels, labelled_record
from cifar_lab.analysis.summary import Row, recipe_key, summarize
from cifar_lab.cli.output import Output
from cifar_lab.cli.selection import RUN_COLUMNS, Selection, arm_columns
from cifar_lab.cli.tables import arms_table
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.config import Settings
from cifar_lab.config.io.load import dump_settings, load_settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import DataError, LabError, SettingsError
from cifar_lab.core.terminal import console
from cifar_lab.core.text import count, plain
from cifar_lab.data import DatasetCatalog
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


def print_list(
    results: Path,
    selection: Selection = Selection(),  # noqa: B008
    *,
    arms: bool = False,
    as_json: bool = False,
) -> None:
    """Print one line per run: finished runs by label and seed, then running, interrupted and unusable ones.

    Args:
        selection: with a filter, finished runs alone are printed.
        arms: print one line per arm instead.
        as_json: print one JSON document instead.

    Raises:
        SettingsError: a filter on an unknown key.
    """
    found = find_records(existing_results(results))
    records, unusable = found.records, {each.folder.path.name: each for each in found.unusable}
    others = sorted(set(run_ids(results)) - {record.run_id for record in records})
    out = Output("list", as_json=as_json)
    out.value("results", str(results))
    selection.check(records)
    kept = list(filter(selection.keeps, records))
    listed = [] if selection.filters else others
    if not records and not others:
        out.line(f"no runs in {results} yet; try: cifar-lab quickstart")
    elif selection.filters and not kept:
        out.line("no finished run has that")
    if arms and (kept or listed or as_json):
        _print_arm_rows(out, selection.ordered(summarize(kept), arm_columns()), len(listed))
    elif kept or listed or as_json:
        _print_runs(out, selection.ordered(kept, RUN_COLUMNS), listed, unusable, results)
    out.close()


def _print_runs(
    out: Output, records: Sequence[Record], others: Sequence[str], unusable: Mapping[str, Unusable], results: Path
) -> None:
    """Print finished runs, then the runs `others` without a usable record."""
    pruned, images = pruned_runs(results) if others else {}, DatasetCatalog()
    table = TextTable(*LIST_COLUMNS)
    for record, label in zip(records, _labels(records), strict=True):
        table.add(
            record.run_id, label, record.seed, record.status, record.test and record.test.accuracy,
            record.val and record.val.accuracy, record.epochs_trained, record.train_seconds, record.data.title,
            record.finished,
        )  # fmt: skip
    for name in others:
        folder, fault = RunFolder(results, name), unusable.get(name)
        state = _unfinished_words(folder, pruned.get(name)) if fault is None else _fault_words(fault)
        settings = _unfinished_settings(folder, images)
        label, seed = _label_and_seed(folder, settings)
        history = _history(folder)
        table.add(name, label, seed, state, None, None, None if history is None else len(history), None, None, None)
    out.table(table, "runs")


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


def _print_arm_rows(out: Output, rows: Sequence[Row], unfinished: int) -> None:
    """Print one line per arm, with the runs that its mean leaves out."""
    out.table(arms_table("list", rows), "arms")
    out.value("runs_without_record", unfinished)
    if unfinished:
        out.line(f"and {count(unfinished, 'run')} without a usable record; cifar-lab list shows them")


def _fault_words(unusable: Unusable) -> str:
    """Reason why a finished run is not counted."""
    if unusable.copy_of:
        return f"copy of {unusable.copy_of}"
    return "damaged" if isinstance(unusable.fault, DamagedRecordError) else "not readable"


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


def _label_and_seed(folder: RunFolder, settings: Settings | None) -> tuple[str, int | None]:
    """Label and seed of a run without a record, from its settings or its failure. Neither where both cannot be read."""
    if settings is not None:
        return settings.label, settings.seeds[0]
    failure = read_failure(folder)
    return (failure.label, failure.seed) if failure is not None else ("", None)


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


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if name == "epoch" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
