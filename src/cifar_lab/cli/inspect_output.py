"""Output of `list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cifar_lab.analysis.summary import Row, recipe_key, summarize
from cifar_lab.cli.output import Output
from cifar_lab.cli.selection import RUN_COLUMNS, Selection, arm_columns
from cifar_lab.cli.tables import arms_table, notes_cells, runs_table
from cifar_lab.cli.unfinished import history, label_and_seed, unfinished_settings, unfinished_words
from cifar_lab.core.text import count
from cifar_lab.data import DatasetCatalog
from cifar_lab.store.notes import Notes, all_notes
from cifar_lab.store.records import Record
from cifar_lab.store.results import (
    DamagedRecordError,
    RunFolder,
    Unusable,
    existing_results,
    find_records,
    run_ids,
)
from cifar_lab.studies.documents import pruned_runs


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
    notes = all_notes(results)
    selection.check(records, notes)
    kept = [record for record in records if selection.keeps(record, notes)]
    listed = [] if selection.filters else others
    if not records and not others:
        out.line(f"no runs in {results} yet; try: cifar-lab quickstart")
    elif selection.filters and not kept:
        out.line("no finished run matches the filter")
    if arms and (kept or listed or as_json):
        keyed = {(recipe_key(record.recipe), record.data.fingerprint): record for record in kept}
        rows = [row for row in summarize(kept) if selection.keeps_arm(row, keyed[row.key, row.fingerprint], notes)]
        _print_arm_rows(out, selection.ordered(rows, arm_columns()), len(listed))
    elif kept or listed or as_json:
        _print_runs(out, selection.ordered(kept, RUN_COLUMNS), listed, unusable, results, notes)
    out.close()


def _print_runs(
    out: Output,
    records: Sequence[Record],
    others: Sequence[str],
    unusable: Mapping[str, Unusable],
    results: Path,
    notes: Mapping[str, Notes],
) -> None:
    """Print finished runs, then the runs `others` without a usable record."""
    pruned, images = pruned_runs(results) if others else {}, DatasetCatalog()
    table = runs_table(records, notes)
    for name in others:
        folder, fault = RunFolder(results, name), unusable.get(name)
        state = unfinished_words(folder, pruned.get(name)) if fault is None else _fault_words(fault)
        settings = unfinished_settings(folder, images, fault.copy_of if fault else None)
        label, seed = label_and_seed(folder, settings)
        epochs = history(folder)
        of_notes = notes_cells(name, notes)
        table.add(
            name, label, seed, state, None, None, None if epochs is None else len(epochs), None, None, None, *of_notes
        )
    out.table(table, "runs")


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
