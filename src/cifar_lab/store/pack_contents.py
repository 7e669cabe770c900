"""Files of a results folder that go into a pack, each checked before. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import is_regular
from cifar_lab.store.pack_names import REPORT_FILES, RESULTS, WEIGHTS, is_packed_name
from cifar_lab.store.packed import is_left_out
from cifar_lab.store.records import Record
from cifar_lab.store.results import Found, RunFolder, run_ids

UNFINISHED_FILES = ("settings.yaml", "metrics.jsonl", "failure.json", "notes.json")
"""Files of a run without a record. Its checkpoint stays behind."""

FOLDERS = ("sweeps/*", "stopping", "index", "removed", "models")


def result_files(results: Path, found: Found, *, weights: bool) -> dict[str, Path]:
    """Files to pack by their names in the archive.

    Raises:
        DataError: a record or a file that it names is damaged.
    """
    files = {RESULTS + path.relative_to(results).as_posix(): path for path in _files(results, found, weights)}
    return {name: path for name, path in files.items() if is_packed_name(name)}


def _files(results: Path, found: Found, weights: bool) -> Iterator[Path]:
    if damaged := next((each for each in found.unusable if not each.copy_of), None):
        raise DataError(f"{damaged.message}; nothing is packed while records are damaged")
    records = {record.run_id: record for record in found.records}
    for run_id in run_ids(results):
        folder, record = RunFolder(results, run_id), records.get(run_id)
        names = UNFINISHED_FILES if record is None else _checked(folder, record, weights)
        yield from (folder.path / name for name in names if is_regular(folder.path / name))
    yield from (results / name for name in REPORT_FILES if is_regular(results / name))
    for pattern in FOLDERS:
        yield from (path for path in sorted(results.glob(f"{pattern}/*")) if is_regular(path))


def _checked(folder: RunFolder, record: Record, weights: bool) -> list[str]:
    """Names of the files of a finished run, which have the checksums of its record.

    Raises:
        DataError: one does not.
    """
    folder.read_metrics(record)
    if record.settings_sha256 is not None:
        folder.read_settings(record)
    names = [name for name in record.files if name != WEIGHTS or weights]
    for name in names:
        if not is_left_out(folder.path / name):
            folder.read_file(record, name)
    attacks = [path.name for path in folder.attacks()]
    return ["record.json", "settings.yaml", "metrics.jsonl", "notes.json", *names, *attacks]
