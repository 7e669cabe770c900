"""Finished run by its name: the beginning of its id, or a label that no other run has."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, Unusable, existing_results, find_records, run_ids

SHOWN = 5
"""Candidates that an error names."""


def find_folder(results: Path, wanted: str) -> RunFolder | None:
    """Run whose id is `wanted`, or the only one that starts so. None where `wanted` is no beginning of an id.

    Raises:
        SettingsError: several runs.
    """
    found = only_id(run_ids(results), wanted)
    return None if found is None else RunFolder(results, found)


def only_id(ids: Iterable[str], wanted: str) -> str | None:
    """The id that is `wanted`, or the only one that starts so. None without one.

    Raises:
        SettingsError: several start so.
    """
    found = [run_id for run_id in ids if wanted and run_id.startswith(wanted)]
    found = [run_id for run_id in found if run_id == wanted] or found
    if len(found) > 1:
        raise SettingsError(f"{len(found)} run ids start with {wanted!r}: {', '.join(found[:SHOWN])}; give more digits")
    return found[0] if found else None


def find_finished(name: str, results: Path) -> Record:
    """Record of the run whose id starts with `name`, or the only one with this label.

    Raises:
        SettingsError: no run has the name, several have it, or the run is not finished.
        DataError: the record is unusable.
    """
    folder = find_folder(existing_results(results), name)
    return _labelled(name, results) if folder is None else _read(folder)


def is_run(name: str, results: Path) -> bool:
    """Whether a run has this name, or several have it."""
    return any(run_id.startswith(name) for run_id in run_ids(results)) or bool(_with_label(name, results))


def _read(folder: RunFolder) -> Record:
    try:
        record = folder.read_record()
    except DataError as fault:
        raise DataError(Unusable(folder, fault).message) from fault
    if record is None:
        command = ["cifar-lab", "run", folder.settings.as_posix(), "--results", folder.path.parents[1].as_posix()]
        raise SettingsError(f"run {folder.path.name} is not finished; to finish it: {shlex.join(command)}")
    return record


def _labelled(name: str, results: Path) -> Record:
    named = _with_label(name, results)
    if len(named) > 1:
        runs = " ".join(record.run_id for record in named[:SHOWN])
        raise SettingsError(f"{name!r}: {len(named)} runs have this label; give the beginning of a run's id: {runs}")
    if not named:
        raise SettingsError(
            f"no run id starts with {name!r}, and no finished run of {results} has this label; list all runs: "
            f"cifar-lab list --results {shlex.quote(results.as_posix())}"
        )
    return named[0]


def _with_label(name: str, results: Path) -> list[Record]:
    return [record for record in find_records(results).records if record.label == name]
