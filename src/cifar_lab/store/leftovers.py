"""Files of a results folder that no command reads any more, for `gc`. No torch.

- checkpoints of runs that are done
- temporary files of writes that were interrupted
- files of removed runs

All are files that cifar-lab wrote. A run that another command holds, or that is not done, keeps its files. So do
damaged files that were set aside: they are the evidence of the damage.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cifar_lab.core.atomic_io import remove
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import is_regular
from cifar_lab.store.locks import HeldError
from cifar_lab.store.removal import delete_taken_away, size_of, taken_away
from cifar_lab.store.results import RunFolder, run_ids, runs_folder
from cifar_lab.store.run_files import TEMPORARY

WRITING_SECONDS = 60.0
"""Age from which a temporary file belongs to a write that was interrupted. A write takes less than a second."""

DOCUMENTS = re.compile(r"[^/]+\.json")
REPORTS = re.compile(
    r"report\.(html|md|tex)|summary\.csv|answers\.json|watch\.html|\.?looks\.json|[^/]+\.(png|svg|pdf)"
)
MODELS = re.compile(r"[^/]+\.py")

WRITTEN = {"": REPORTS, "index": DOCUMENTS, "stopping": DOCUMENTS, "removed": DOCUMENTS, "models": MODELS}
"""Names of the files that are written beside runs and sweeps, by the folder that has them."""

Kind = Literal["checkpoint", "temporary file", "removed run"]


@dataclass(frozen=True)
class Leftover:
    """File, or folder of a removed run, that can be deleted."""

    kind: Kind
    path: Path
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Leftovers:
    """All that can be deleted, and the runs that are left out."""

    found: list[Leftover]
    held: list[str]
    """Ids of runs with a checkpoint or temporary file that another command holds."""


def find_leftovers(results: Path) -> Leftovers:
    """Files that can be deleted. Nothing is changed."""
    found, held = [], []
    for run_id in run_ids(results):
        folder = RunFolder(results, run_id)
        files = list(_of_run(folder))
        if files and folder.holder() is not None:
            held.append(run_id)
        else:
            found += files
    found += [Leftover("removed run", folder, size_of(folder)) for folder in taken_away(results)]
    found += _interrupted(results)
    return Leftovers(found, held)


def delete_leftovers(results: Path, leftovers: Leftovers) -> list[Leftover]:
    """Delete what is still left over, each run under its lock. Returns what was deleted.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    deleted: list[Leftover] = []
    of_runs: dict[str, list[Leftover]] = {}
    for each in leftovers.found:
        if each.path.parent.parent == runs_folder(results):
            of_runs.setdefault(each.path.parent.name, []).append(each)
    for run_id, files in of_runs.items():
        deleted += _delete_of_run(RunFolder(results, run_id), files)
    removed = [each for each in leftovers.found if each.kind == "removed run"]
    delete_taken_away(results, [each.path for each in removed])
    still = set(_interrupted(results))
    interrupted = [each for each in leftovers.found if each in still]
    for each in interrupted:
        remove(each.path)
    return [*deleted, *removed, *interrupted]


def _delete_of_run(folder: RunFolder, files: list[Leftover]) -> Iterator[Leftover]:
    """Delete files of a run that are left over under its lock too."""
    temporary = [each for each in files if each.kind == "temporary file"]
    with contextlib.suppress(HeldError), folder.lock(at_once=True):  # which deletes temporary files
        checkpoints = [each for each in _of_run(folder) if each.kind == "checkpoint"]
        remove(*(each.path for each in checkpoints))
        yield from [*checkpoints, *(each for each in temporary if not os.path.lexists(each.path))]


def _of_run(folder: RunFolder) -> Iterator[Leftover]:
    """Left-over files of a run."""
    if folder.path.is_symlink():
        return
    if _is_done(folder):
        yield from (Leftover("checkpoint", path, _size(path)) for path in folder.checkpoints() if is_regular(path))
    yield from (
        Leftover("temporary file", path, _size(path)) for path in sorted(folder.abandoned()) if is_regular(path)
    )


def _is_done(folder: RunFolder) -> bool:
    """Whether the run has a valid record and all files that it names."""
    try:
        record = folder.read_record()
    except DataError:
        return False
    return record is not None and folder.incomplete_file(record) is None


def _interrupted(results: Path) -> Iterator[Leftover]:
    """Temporary files beside the runs."""
    folders = {results / folder: names for folder, names in WRITTEN.items()}
    if not (results / "sweeps").is_symlink():
        folders |= dict.fromkeys(sorted((results / "sweeps").glob("*")), DOCUMENTS)
    for folder, names in folders.items():
        if folder == results or not folder.is_symlink():
            yield from (Leftover("temporary file", path, _size(path)) for path in _temporary(folder, names))


def _temporary(folder: Path, names: re.Pattern[str]) -> Iterator[Path]:
    """Temporary files of interrupted writes of files with these names."""
    for path in sorted(folder.glob(".*.tmp")):
        found = TEMPORARY.fullmatch(path.name)
        if found and names.fullmatch(found["name"]) and is_regular(path) and _age(path) > WRITING_SECONDS:
            yield path


def _size(path: Path) -> int:
    """Bytes of a file. 0 for a file that is gone."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _age(path: Path) -> float:
    """Seconds since a file was changed. 0 for a file that is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
