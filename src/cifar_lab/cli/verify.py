"""Read every file of a results folder against its checksum; what is damaged is set aside and named. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX
from cifar_lab.core.checksums import is_damaged_checkpoint
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.data import cache
from cifar_lab.store.records import Record
from cifar_lab.store.results import CopiedRecordError, DamagedFileError, DamagedRecordError, RunFolder, run_ids


@dataclass(frozen=True)
class Verified:
    """What a results folder and the cache of images came to."""

    runs: int
    """Run folders that were read."""
    files: int
    """Files whose checksum was compared."""
    damage: tuple[str, ...]
    """A line each: what is damaged, where it is now, and how to make it again."""
    notes: tuple[str, ...]
    """Run folders that are not counted or were in use; they do no harm."""


def verify_results(results: Path) -> Verified:
    """Compare every record, file beside it and checkpoint with its checksum, and the prepared images too.

    A damaged file is renamed, and so is the record that names it: the next `run` makes the run again. Prepared images
    are only named: they are mended when they are used. A run that another process holds is left alone.

    Raises:
        EnvironmentFault: a damaged file cannot be renamed.
    """
    found = [_verify_run(RunFolder(results, run_id), results) for run_id in run_ids(results)]
    images = list(_damaged_images())
    return Verified(
        runs=len(found),
        files=sum(each.files for each in found) + len(images),
        damage=tuple(line for each in found for line in each.damage) + tuple(line for line in images if line),
        notes=tuple(line for each in found for line in each.notes),
    )


def _verify_run(folder: RunFolder, results: Path) -> Verified:
    looked = _look(folder)
    lines: list[str] = []
    notes = looked.notes
    if looked.damaged:
        try:
            with folder.lock():
                looked = _look(folder)  # what was made again meanwhile is no damage
                lines = [_set_aside(folder, path) for path in looked.damaged]
        except EnvironmentFault as fault:
            if folder.unfinished_state() != "running":
                raise
            notes = [*notes, str(fault)]
    if lines:
        command = shlex.join(["cifar-lab", "run", str(folder.settings), "--results", str(results)])
        lines[-1] += f"; to make the run again: {command}"
    return Verified(1, looked.files, tuple(lines), tuple(notes))


def _set_aside(folder: RunFolder, path: Path) -> str:
    """Take a damaged or missing file out of use; what was done, in words."""
    is_there = path.exists()
    aside = folder.set_aside(path)
    if is_there:
        return f"{path}: is damaged; set aside as {aside.name}"
    return f"{path}: is missing; {folder.record.name} set aside as {folder.record.name}{DAMAGED_SUFFIX}"


@dataclass
class _Looked:
    """What reading one run folder came to."""

    files: int
    damaged: list[Path]
    notes: list[str]


def _look(folder: RunFolder) -> _Looked:
    """Read each file of the run that has a checksum."""
    looked = _Looked(0, [], [])
    try:
        if (record := folder.read_record()) is not None:
            looked.files += 1 + len(record.files) + bool(record.metrics_sha256)
            looked.damaged += _damaged_files(folder, record)
    except CopiedRecordError as fault:
        looked.notes.append(str(fault))
    except DamagedRecordError:
        looked.damaged.append(folder.record)
    except DataError as fault:
        looked.notes.append(str(fault))
    for path in folder.checkpoints():
        looked.files += path.exists()
        looked.damaged += [path] if is_damaged_checkpoint(path) else []
    return looked


def _damaged_files(folder: RunFolder, record: Record) -> Iterator[Path]:
    reads: list[Callable[[], object]] = [partial(folder.read_file, record, name) for name in record.files]
    reads.append(partial(folder.read_metrics, record))
    for read in reads:
        try:
            read()
        except DamagedFileError as fault:
            yield fault.path


def _damaged_images() -> Iterator[str]:
    """A line for each damaged folder of prepared images, empty for each good one."""
    for meta in sorted(cache.home().glob("*/meta.json")):
        fault = cache.damage(meta.parent)
        yield f"{fault}; the images are prepared again when they are used" if fault else ""
