"""Output of `list`, and the state of runs without a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cifar_lab.analysis.labels import distinct_labels, labelled_record
from cifar_lab.analysis.summary import Row, recipe_key, summarize
from cifar_lab.cli.output import Output
from cifar_lab.cli.selection import RUN_COLUMNS, Selection, arm_columns
from cifar_lab.cli.tables import arms_table
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.store.failures import read_failure
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import EpochMetrics, Record
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
        out.line("no finished run has this value")
    if arms and (kept or listed or as_json):
        _print_arm_rows(out, selection.ordered(summarize(kept), arm_columns()), len(listed))
    elif kept or listed or as_json:
        _print_runs(out, selection.ordered(kept, RUN_COLUMNS), listed, unusable, results)
    out.close()


def runs_table(records: Sequence[Record]) -> TextTable:
    """A line per finished run."""
    table = TextTable(*LIST_COLUMNS)
    for record, label in zip(records, _labels(records), strict=True):
        table.add(
            record.run_id, label, record.seed, record.status, record.test and record.test.accuracy,
            record.val and record.val.accuracy, record.epochs_trained, record.train_seconds, record.data.title,
            record.finished,
        )  # fmt: skip
    return table


def _print_runs(
    out: Output, records: Sequence[Record], others: Sequence[str], unusable: Mapping[str, Unusable], results: Path
) -> None:
    """Print finished runs, then the runs `others` without a usable record."""
    pruned, images = pruned_runs(results) if others else {}, DatasetCatalog()
    table = runs_table(records)
    for name in others:
        folder, fault = RunFolder(results, name), unusable.get(name)
        state = unfinished_words(folder, pruned.get(name)) if fault is None else _fault_words(fault)
        settings = unfinished_settings(folder, images)
        label, seed = label_and_seed(folder, settings)
        epochs = history(folder)
        table.add(name, label, seed, state, None, None, None if epochs is None else len(epochs), None, None, None)
    out.table(table, "runs")


def _labels(records: Sequence[Record]) -> list[str]:
    """Label of each run. Runs of arms with one label that differ have labels that name what differs."""
    arms = {(recipe_key(record.recipe), record.data.fingerprint, record.label): record for record in records}
    labels = dict(zip(arms, distinct_labels([labelled_record(record) for record in arms.values()]), strict=True))
    return [labels[recipe_key(record.recipe), record.data.fingerprint, record.label] for record in records]


def unfinished_words(folder: RunFolder, pruned_after: int | None) -> str:
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
        out.wrapped(f"and {count(unfinished, 'run')} without a usable record; cifar-lab list shows them")


def _fault_words(unusable: Unusable) -> str:
    """Reason why a finished run is not counted."""
    if unusable.copy_of:
        return f"copy of {unusable.copy_of}"
    return "damaged" if isinstance(unusable.fault, DamagedRecordError) else "not readable"


def history(folder: RunFolder, record: Record | None = None) -> list[EpochMetrics] | None:
    """Epochs of a run. None where their file is damaged, which is named."""
    try:
        return folder.read_metrics(record)
    except DamagedFileError as fault:
        leave_out(folder.left_out(fault.path, fault.what))
        return None


def unfinished_settings(folder: RunFolder, images: DatasetCatalog) -> Settings | None:
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


def label_and_seed(folder: RunFolder, settings: Settings | None) -> tuple[str, int | None]:
    """Label and seed of a run without a record, from its settings or its failure. Neither where both cannot be read."""
    if settings is not None:
        return settings.label, settings.seeds[0]
    failure = read_failure(folder)
    return (failure.label, failure.seed) if failure is not None else ("", None)
