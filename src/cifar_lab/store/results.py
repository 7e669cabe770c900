"""A results folder: paths of its contents, and the records of its runs. No torch.

results/
    runs/<run id>/        the folder of one run: see `run_paths`
    sweeps/<name>/        plan.json, history.json (halving, racing, tpe), winners.json
    models/               models that were defined in a notebook, by name and hash
    stopping/             <question>.json: the looks that `run --until-decided` planned
    looks.json            the looks that were made, with a copy in .looks.json: see `looks`
    index/                see `documents`
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.core.errors import DataError, MissingResultsError
from cifar_lab.store.left_out import leave_out, skip
from cifar_lab.store.record_files import CopiedRecordError as CopiedRecordError
from cifar_lab.store.record_files import DamagedRecordError as DamagedRecordError
from cifar_lab.store.records import DataIdentity, Environment, EpochMetrics, Record
from cifar_lab.store.run_folder import RunFolder as RunFolder
from cifar_lab.store.run_paths import runs_folder as runs_folder
from cifar_lab.store.run_texts import DamagedFileError as DamagedFileError
from cifar_lab.store.run_texts import metrics_digest as metrics_digest


@dataclass(frozen=True)
class Unusable:
    """A run folder with an unusable record."""

    folder: RunFolder
    fault: DataError

    @property
    def copy_of(self) -> str:
        """Id of the original of a copied run. Empty for a damaged record."""
        is_copy = isinstance(self.fault, CopiedRecordError) and self.fault.is_backup
        return self.fault.run_id if is_copy and isinstance(self.fault, CopiedRecordError) else ""

    @property
    def message(self) -> str:
        """Fault of the record, with the command that makes the run again."""
        fault = self.fault
        if self.copy_of or not isinstance(fault, DamagedRecordError):
            return str(fault)
        return self.folder.left_out(fault.path, fault.what)

    def tell(self) -> None:
        """Name the run, which a reader does not use."""
        skip(self.message) if self.copy_of else leave_out(self.message)


@dataclass(frozen=True)
class Found:
    """Records of a results folder."""

    records: list[Record]
    """Records of finished runs, sorted by label, seed and id."""
    unusable: list[Unusable]
    """Sorted by the name of the folder."""


class SweepFolder:
    """The folder of one sweep: plan, history of its points and winners, all derived from the runs."""

    def __init__(self, results: Path, name: str) -> None:
        """`name` is the stem of the sweep file, which may hold any character of a file name."""
        self.results = results
        self.path = results / "sweeps" / _folder_name(name)
        self.plan = self.path / "plan.json"
        self.history = self.path / "history.json"
        self.winners = self.path / "winners.json"


STOPPING = "stopping"
"""Folder of the plans of interim analyses."""


def stopping_file(results: Path, question: str) -> Path:
    """Path of a question's plan of interim analyses."""
    return results / STOPPING / f"{question}.json"


def stopping_files(results: Path) -> list[Path]:
    """Plans of interim analyses, by name."""
    return sorted((results / STOPPING).glob("*.json"))


def model_file(results: Path, name: str) -> Path:
    """Path of a model that was defined in a notebook."""
    return results / "models" / name


def history_files(results: Path) -> list[Path]:
    """Histories of all adaptive searches, by the name of the sweep."""
    return sorted((results / "sweeps").glob("*/history.json"))


def sweeps_with_winners(results: Path) -> list[str]:
    """Names of the folders of all sweeps that have winners, sorted."""
    return sorted(path.parent.name for path in (results / "sweeps").glob("*/winners.json"))


def sweep_folders(results: Path) -> list[SweepFolder]:
    """Folders of all sweeps, by name."""
    folders = sorted((results / "sweeps").glob("*"))
    return [SweepFolder(results, path.name) for path in folders if path.is_dir() and not path.is_symlink()]


def _folder_name(stem: str) -> str:
    """The stem where it is a safe name, else a part of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", stem):
        return stem
    kept = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40]
    return f"{kept or 'sweep'}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"


def run_ids(results: Path) -> list[str]:
    """Ids of all runs with a folder, done or not."""
    folder = runs_folder(results)
    if folder.is_dir():
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    if folder.exists():
        leave_out(f"{folder}: is not a folder, so it has no run; restore it from a copy, or remove it")
    return []


def find_records(results: Path) -> Found:
    """Records of finished runs, and folders with an unusable record. Both empty for a missing folder.

    The reader of all commands. Each unusable record is named (`store.left_out`).
    """
    found, shared = Found([], []), SharedParts()
    seen: set[tuple[str, str, int]] = set()
    for run_id in run_ids(results):
        folder = RunFolder(results, run_id)
        try:
            record = folder.read_record()
            if record is not None:
                _refuse_second(folder, record, seen)
                found.records.append(shared.of(record))
        except DataError as fault:
            found.unusable.append(Unusable(folder, fault))
            found.unusable[-1].tell()
    found.records.sort(key=lambda record: (record.label, record.seed, record.run_id))
    return found


def _refuse_second(folder: RunFolder, record: Record, seen: set[tuple[str, str, int]]) -> None:
    """Refuse a second record of the same arm, images and seed, which no run can have."""
    key = (json.dumps(record.recipe, sort_keys=True), record.data.fingerprint, record.seed)
    if key in seen:
        raise DamagedRecordError(folder.record, f"is a second record of seed {record.seed} of the same arm")
    seen.add(key)


def read_records(results: Path) -> list[Record]:
    """Records of finished runs, sorted by label, seed and id. Empty for a missing folder. See `find_records`."""
    return find_records(results).records


def existing_results(results: Path) -> Path:
    """The results folder, for a command that only reads.

    Raises:
        MissingResultsError: there is no such folder.
    """
    if not results.is_dir():
        raise MissingResultsError(
            f"{results}: no such results folder; give another with --results, or create it: cifar-lab run FILE "
            f"--results {shlex.quote(str(results))}"
        )
    return results


def read_metrics(results: Path, run_id: str) -> list[EpochMetrics]:
    """The epochs of one run, oldest first.

    Raises:
        DataError: the run's record is unusable, or the file is not the one that it was made with.
    """
    folder = RunFolder(results, run_id)
    return folder.read_metrics(folder.read_record())


class SharedParts:
    """Cache of equal parts of immutable records. Ten thousand runs share few settings, images and machines."""

    def __init__(self) -> None:
        self._sections: dict[tuple[str, str], Any] = {}
        self._images: dict[DataIdentity, DataIdentity] = {}
        self._machines: dict[Environment, Environment] = {}

    def of(self, record: Record) -> Record:
        """An equal record that shares its parts, with less than half of the memory."""
        return record.model_copy(
            update={
                "recipe": self.sections(record.recipe),
                "settings": self.sections(record.settings),
                "data": self._images.setdefault(record.data, record.data),
                "environment": self._machines.setdefault(record.environment, record.environment),
            }
        )

    def sections(self, values: dict[str, Any]) -> dict[str, Any]:
        """Equal settings or run identity that share their sections."""
        return {
            key: value
            if isinstance(value, int | float | str)  # small: to look for an equal one costs more
            else self._sections.setdefault((key, repr(value)), value)
            for key, value in values.items()
        }
