"""Removal of runs. The folder of a run disappears in one rename, and a run that a look has counted leaves a mark.

    removed/<run id>.json     mark of a removed run, written before its folder disappears
    .removing/<run id>/       folder of a run while its files are deleted. No reader looks there, `gc` deletes the rest

A kill at any moment leaves the whole run, or its mark and no part of it that is read. Only files that cifar-lab wrote
are deleted: a folder with any other file, or with a link, is refused. No torch.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.core.atomic_io import disk_errors, make_folder, remove, remove_empty, rename, write_bytes
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.host import utc_now
from cifar_lab.store.documents import read_document, seal_document
from cifar_lab.store.looks import find_looks, looks_lock
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.store.run_files import is_run_file

MARKS = "removed"
"""Folder of the marks."""

REMOVING = ".removing"
"""Folder of what is being deleted."""


def foreign_files(folder: Path) -> list[Path]:
    """Files, links and folders in the folder of a run that cifar-lab did not write."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_run_file(entry.name) or not entry.is_file(follow_symlinks=False):
                found.append(folder / entry.name)
    return sorted(found)


def size_of(folder: Path) -> int:
    """Bytes of the files of a folder, without those of folders in it."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        found = (entry.stat(follow_symlinks=False) for entry in entries)
        return sum(each.st_size for each in found if stat.S_ISREG(each.st_mode))
    return 0


@dataclass(frozen=True)
class Removal:
    """Run to remove."""

    folder: RunFolder
    label: str
    seed: int | None
    record: Record | None
    """None for a run without a usable record."""
    size: int
    """Bytes of its files."""
    counted: bool
    """Whether a look has counted it, so that it leaves a mark."""

    @property
    def run_id(self) -> str:
        """Id of the run, the name of its folder."""
        return self.folder.path.name


def counted_runs(results: Path) -> set[str] | None:
    """Ids of the runs that a look has counted. None where the looks cannot be read, so that each may be one."""
    found = find_looks(results)
    if found.is_lost:
        return None
    return {run_id for pair in found.book.pairs for look in pair.looks for run_id in look.runs}


def require_own(folder: RunFolder) -> None:
    """Check that the folder of a run has only files of cifar-lab.

    Raises:
        SettingsError: it has another file, or is a symbolic link.
    """
    folder.refuse_link()
    if foreign := foreign_files(folder.path):
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise SettingsError(
            f"{foreign[0]}{more}: cifar-lab did not write it, so the run is not removed; move it elsewhere, then run "
            "the same command again"
        )


def remove_runs(results: Path, removals: Sequence[Removal]) -> None:
    """Remove runs, all or none of them where one is refused.

    Raises:
        HeldError: another process holds one of the runs. Nothing was removed.
        SettingsError: a folder has a file that cifar-lab did not write. Nothing was removed.
        EnvironmentFault: the disk refuses. Each run is then whole or gone.
    """
    with ExitStack() as locks:
        for each in removals:
            locks.enter_context(each.folder.lock(at_once=True))
        for each in removals:
            require_own(each.folder)
        with looks_lock(results):  # a look that is made meanwhile counts the run, or finds it gone
            counted = counted_runs(results)
            for each in removals:
                if counted is None or each.run_id in counted:
                    _mark(results, each)
                _take_away(results, each.folder)
    delete_taken_away(results, [results / REMOVING / each.run_id for each in removals])


def _mark(results: Path, removal: Removal) -> None:
    test = removal.record.test if removal.record is not None else None
    values = {
        "run_id": removal.run_id, "label": removal.label, "seed": removal.seed,
        "test_accuracy": None if test is None else test.accuracy, "removed": utc_now(),
    }  # fmt: skip
    make_folder(results / MARKS)
    write_bytes(mark_file(results, removal.run_id), seal_document(values))


def _take_away(results: Path, folder: RunFolder) -> None:
    make_folder(results / REMOVING)
    taken = results / REMOVING / folder.path.name
    with disk_errors(folder.path):
        if taken.exists():
            _delete_folder(taken)
        rename(folder.path, taken)


def delete_taken_away(results: Path, folders: Iterable[Path]) -> None:
    """Delete these folders of removed runs. Files that cifar-lab did not write stay."""
    for folder in folders:
        _delete_folder(folder)
    remove_empty(results / REMOVING)


def taken_away(results: Path) -> list[Path]:
    """Folders of removed runs whose files are still there."""
    folder = results / REMOVING
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _delete_folder(folder: Path) -> None:
    """Delete the files of a run, and its folder if nothing else is in it."""
    foreign = set(foreign_files(folder))
    remove(*(path for path in sorted(folder.iterdir()) if path not in foreign))
    remove_empty(folder)


# --- marks ------------------------------------------------------------------------------------------------------------


def mark_file(results: Path, run_id: str) -> Path:
    """Path of the mark of a removed run."""
    return results / MARKS / f"{run_id}.json"


def marked(results: Path, run_ids: Collection[str]) -> Iterator[str]:
    """Those of the runs that `rm` has removed, by their marks."""
    for run_id in run_ids:
        try:
            values = read_document(mark_file(results, run_id)).values
        except (FileNotFoundError, DataError):
            continue
        if values.get("run_id") == run_id:
            yield run_id
