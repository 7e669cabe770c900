"""Verification of a results folder: compare every file with its checksum and set damaged files aside. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX
from cifar_lab.core.checksums import BrokenSealError, unseal_checkpoint
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.files import UnsuitableFileError, read_file
from cifar_lab.store.records import Record
from cifar_lab.store.results import CopiedRecordError, DamagedFileError, DamagedRecordError, RunFolder, run_ids


@dataclass(frozen=True)
class Verification:
    """Result of a verification."""

    runs: int
    """Folders of runs."""
    files: int
    """Files with a checksum."""
    damage: tuple[str, ...]
    """One line per damaged file, with its new name and the command that makes the run again."""
    notes: tuple[str, ...]
    """One line per run folder that was skipped, because it is a copy, unreadable or in use."""


def verify_results(results: Path) -> Verification:
    """Compare every record, its files and checkpoints with their checksums.

    Damaged files and their records are renamed, so that the next `run` makes the run again. Runs locked by another
    process are skipped.

    Raises:
        EnvironmentFault: a damaged file cannot be renamed.
    """
    runs = [_verify_run(RunFolder(results, run_id), results) for run_id in run_ids(results)]
    return Verification(
        runs=len(runs),
        files=sum(run.files for run in runs),
        damage=tuple(line for run in runs for line in run.damage),
        notes=tuple(line for run in runs for line in run.notes),
    )


def _verify_run(folder: RunFolder, results: Path) -> Verification:
    checked = _check_files(folder)
    lines: list[str] = []
    notes = checked.notes
    if checked.damaged:
        try:
            with folder.lock():
                checked = _check_files(folder)  # under the lock: the run may have been made again meanwhile
                lines = [_set_aside(folder, path) for path in checked.damaged]
        except EnvironmentFault as fault:
            if folder.unfinished_state() != "running":
                raise
            notes = [*notes, str(fault)]
    if lines:
        command = shlex.join(["cifar-lab", "run", str(folder.settings), "--results", str(results)])
        lines[-1] += f"; to make the run again: {command}"
    return Verification(1, checked.files, tuple(lines), tuple(notes))


def _set_aside(folder: RunFolder, path: Path) -> str:
    """Set a damaged or missing file aside and return a line on it."""
    is_there = path.exists()
    aside = folder.set_aside(path)
    if is_there:
        return f"{path}: is damaged; set aside as {aside.name}"
    return f"{path}: is missing; {folder.record.name} set aside as {folder.record.name}{DAMAGED_SUFFIX}"


@dataclass
class _CheckedFiles:
    """Files of one run folder."""

    files: int
    damaged: list[Path]
    notes: list[str]


def _check_files(folder: RunFolder) -> _CheckedFiles:
    """Read each file of the run that has a checksum."""
    checked = _CheckedFiles(0, [], [])
    try:
        if (record := folder.read_record()) is not None:
            checked.files += 1 + len(record.files) + bool(record.metrics_sha256)
            checked.damaged += _damaged_files(folder, record)
    except CopiedRecordError as fault:
        checked.notes.append(str(fault))
    except DamagedRecordError:
        checked.damaged.append(folder.record)
    except DataError as fault:
        checked.notes.append(str(fault))
    for path in folder.checkpoints():
        checked.files += path.exists()
        checked.damaged += [path] if _is_damaged_checkpoint(path) else []
    return checked


def _damaged_files(folder: RunFolder, record: Record) -> Iterator[Path]:
    reads: list[Callable[[], object]] = [partial(folder.read_file, record, name) for name in record.files]
    reads.append(partial(folder.read_metrics, record))
    for read in reads:
        try:
            read()
        except DamagedFileError as fault:
            yield fault.path


def _is_damaged_checkpoint(path: Path) -> bool:
    """Whether a checkpoint in a run's folder has a wrong checksum. False for a missing file."""
    try:
        unseal_checkpoint(path.parent.name, read_file(path))
    except FileNotFoundError:
        return False
    except (BrokenSealError, UnsuitableFileError, IsADirectoryError):
        return True
    return False
