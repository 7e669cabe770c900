"""Verification of a results folder: compare every file with its checksum and set damaged files aside. No torch.

Only files of the laboratory are read or renamed, and none through a symbolic link. `verify_documents` has the files
beside the runs.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX, set_aside, write_text
from cifar_lab.core.checksums import is_damaged_checkpoint
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.text import count
from cifar_lab.store.attack_records import verify_attacks
from cifar_lab.store.documents import DamagedDocumentError
from cifar_lab.store.failures import verify_failure
from cifar_lab.store.looks import verify_looks
from cifar_lab.store.notes import checked_notes, notes_file
from cifar_lab.store.packed import is_left_out
from cifar_lab.store.records import Record
from cifar_lab.store.results import CopiedRecordError, DamagedFileError, DamagedRecordError, RunFolder, run_ids
from cifar_lab.store.run_paths import runs_folder
from cifar_lab.store.run_texts import text_digest
from cifar_lab.store.verify_documents import verify_documents

SettingsOf = Callable[[Record], str | None]
"""Text of settings.yaml as a record has it. None where this version cannot make it."""


@dataclass(frozen=True)
class Verification:
    """Result of a verification."""

    runs: int
    """Folders of runs."""
    files: int
    """Files that were read and have a checksum."""
    damage: tuple[str, ...]
    """One line per damaged file, with its new name and the command that makes the run again."""
    notes: tuple[str, ...]
    """One line per run folder that was skipped, because it is a copy, unreadable or in use. Then files without a
    checksum, which earlier versions wrote."""


def verify_results(results: Path, settings_of: SettingsOf = lambda record: None) -> Verification:
    """Compare every record, its files, checkpoints, documents and looks of the folder with their checksums.

    Damaged files and their records are renamed, so that the next `run` makes the run again. Runs locked by another
    process are skipped.

    Args:
        settings_of: makes a damaged settings.yaml again from the record.

    Raises:
        EnvironmentFault: a damaged file cannot be renamed.
    """
    linked = [path for path in (runs_folder(results),) if path.is_symlink()]
    runs = [_verify_run(RunFolder(results, run_id), results, settings_of) for run_id in run_ids(results) if not linked]
    documents = verify_documents(results)
    looks, lost_looks = verify_looks(results)
    unchecked = sum(run.unchecked for run in runs) + documents.unchecked
    return Verification(
        runs=len(runs),
        files=sum(run.files for run in runs) + documents.files + looks,
        damage=(*(line for run in runs for line in run.damage), *documents.damage, *lost_looks),
        notes=(
            *(f"{path}: is a symbolic link, which is not followed" for path in linked),
            *(line for run in runs for line in run.notes),
            *documents.notes,
            *([f"{count(unchecked, 'file')} of an earlier version without a checksum: unchecked"] if unchecked else []),
        ),
    )


@dataclass(frozen=True)
class _VerifiedRun:
    files: int
    unchecked: int
    damage: list[str]
    notes: list[str]


def _verify_run(folder: RunFolder, results: Path, settings_of: SettingsOf) -> _VerifiedRun:
    checked = _check_files(folder)
    lines: list[str] = []
    notes = checked.notes
    if checked.damaged:
        try:
            with folder.lock():
                checked = _check_files(folder)  # under the lock: the run may have been made again meanwhile
                lines = list(_set_all_aside(folder, checked, results, settings_of))
        except EnvironmentFault as fault:
            if folder.unfinished_state() != "running":
                raise
            notes = [*notes, str(fault)]
    return _VerifiedRun(checked.files, checked.unchecked, lines, notes)


def _set_all_aside(folder: RunFolder, checked: _CheckedFiles, results: Path, settings_of: SettingsOf) -> Iterator[str]:
    """Set damaged files aside, and write settings.yaml again. Returns a line per file."""
    record, attacks = checked.record, folder.attacks()
    texts = [folder.settings, folder.failure, notes_file(folder), *attacks]
    if record is None:
        texts.append(folder.metrics)
    settings = None if record is None else settings_of(record)
    is_same = record is not None and settings is not None and text_digest(settings) == record.settings_sha256
    lines = [_set_aside(folder, path) for path in checked.damaged if path not in texts]
    for path in (path for path in checked.damaged if path in texts):
        line = f"{path}: is missing"
        if os.path.lexists(path):
            line = f"{path}: is damaged; set aside as {set_aside(path).name}"
        if path == folder.settings and is_same and settings is not None:
            write_text(path, settings)
            line += "; written again from the record"
        elif path == folder.settings:
            line += "; record.json has all settings"
        elif path in attacks:
            line += "; the same `cifar-lab attack` command repeats the attack"
        elif path == notes_file(folder):
            line += f"; write them again: cifar-lab note {folder.path.name} TEXT"
        yield line
    if lines and (folder.settings.exists() or folder.settings not in checked.damaged):
        command = shlex.join(["cifar-lab", "run", str(folder.settings), "--results", str(results)])
        lines[-1] += f"; to retrain the run: {command}"
    yield from lines


def _set_aside(folder: RunFolder, path: Path) -> str:
    """Set a damaged or missing file aside and return a line on it."""
    is_there = os.path.lexists(path)
    aside = folder.set_aside(path)
    if is_there:
        return f"{path}: is damaged; set aside as {aside.name}"
    if path == folder.record:
        return f"{path}: is missing, although the run has ended"
    return f"{path}: is missing; {folder.record.name} set aside as {folder.record.name}{DAMAGED_SUFFIX}"


@dataclass
class _CheckedFiles:
    """Files of one run folder."""

    files: int
    unchecked: int
    damaged: list[Path]
    notes: list[str]
    record: Record | None = None


def _check_files(folder: RunFolder) -> _CheckedFiles:
    """Read each file of the run that has a checksum."""
    checked = _CheckedFiles(0, 0, [], [])
    try:
        folder.refuse_link()
    except DataError as fault:
        checked.notes.append(str(fault))
        return checked
    try:
        if (record := folder.read_record()) is not None:
            checked.record = record
            checked.files += (
                1 + len(_present(folder, record)) + bool(record.metrics_sha256) + bool(record.settings_sha256)
            )
            checked.unchecked += (record.schema_ == 1) + (record.settings_sha256 is None and folder.settings.exists())
            checked.damaged += _damaged_files(folder, record)
        else:
            checked.damaged += [folder.record] if folder.lost_its_record() else []  # the lock is ours, or a worker's
            folder.read_metrics()
    except DamagedFileError as fault:
        checked.damaged.append(fault.path)
    except DamagedRecordError as fault:
        if isinstance(fault, CopiedRecordError) and fault.is_backup:
            checked.notes.append(str(fault))
        else:
            checked.damaged.append(folder.record)
    except DataError as fault:
        checked.notes.append(str(fault))
    for path in folder.checkpoints():
        checked.files += path.exists()
        checked.damaged += [path] if is_damaged_checkpoint(path) else []
    attacks, damaged, notes = verify_attacks(folder)
    checked.files += attacks
    checked.damaged += damaged
    checked.notes += notes
    try:
        checked.files += verify_failure(folder)
    except DataError:
        checked.damaged.append(folder.failure)
    try:
        checked_notes(folder)
        checked.files += 1
    except FileNotFoundError:
        pass
    except DamagedDocumentError:
        checked.damaged.append(notes_file(folder))
    except DataError as fault:
        checked.notes.append(str(fault))
    return checked


def _aside(path: Path) -> Path:
    return path.with_name(path.name + DAMAGED_SUFFIX)


def _present(folder: RunFolder, record: Record) -> list[str]:
    """Files that the record names, without those that the pack of the results left out."""
    return [name for name in record.files if not is_left_out(folder.path / name)]


def _damaged_files(folder: RunFolder, record: Record) -> Iterator[Path]:
    reads: list[Callable[[], object]] = [partial(folder.read_file, record, name) for name in _present(folder, record)]
    reads.append(partial(folder.read_metrics, record))
    was_set_aside = not os.path.lexists(folder.settings) and _aside(folder.settings).exists()
    if record.settings_sha256 is not None and not was_set_aside:
        reads.append(partial(folder.read_settings, record))
    for read in reads:
        try:
            read()
        except DamagedFileError as fault:
            yield fault.path
