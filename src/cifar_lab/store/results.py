"""A results folder as a whole: where things lie in it, and all that its runs have left. No torch.

results/
    runs/<run id>/        the folder of one run: see `run_folder`
    sweeps/<name>/        plan.json, history.json (halving, tpe), winners.json
    stopping/             <question>.json: the looks that `run --until-decided` planned
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.core.errors import DataError
from cifar_lab.store.record_file import CopiedRecordError as CopiedRecordError
from cifar_lab.store.record_file import DamagedRecordError as DamagedRecordError
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.run_folder import DamagedFileError as DamagedFileError
from cifar_lab.store.run_folder import RunFolder as RunFolder
from cifar_lab.store.run_folder import metrics_digest as metrics_digest
from cifar_lab.store.run_folder import runs_folder as runs_folder
from cifar_lab.store.shared_parts import SharedParts

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unusable:
    """A run folder whose record cannot be used."""

    folder: RunFolder
    fault: DataError

    @property
    def copy_of(self) -> str:
        """Id of the run that the folder is a copy of; empty for a record that is damaged."""
        return self.fault.run_id if isinstance(self.fault, CopiedRecordError) else ""


@dataclass(frozen=True)
class Found:
    """What a results folder holds."""

    records: list[Record]
    """Of every finished run, sorted by label, seed and id."""
    unusable: list[Unusable]
    """By the name of the folder."""


class SweepFolder:
    """The folder of one sweep: the plan, how its points did and the winners, all made anew from the runs."""

    def __init__(self, results: Path, name: str) -> None:
        """`name` is the stem of the sweep file, which may hold anything that a file name may."""
        self.path = results / "sweeps" / _folder_name(name)
        self.plan = self.path / "plan.json"
        self.history = self.path / "history.json"
        self.winners = self.path / "winners.json"


def stopping_file(results: Path, question: str) -> Path:
    """Where the plan of looks of a question lies."""
    return results / "stopping" / f"{question}.json"


def stopping_files(results: Path) -> list[Path]:
    """All plans of looks, by name."""
    return sorted((results / "stopping").glob("*.json"))


def _folder_name(stem: str) -> str:
    """The stem where it is a safe name, else a part of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", stem):
        return stem
    kept = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40]
    return f"{kept or 'sweep'}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"


def run_ids(results: Path) -> list[str]:
    """Every run that has a folder, done or not."""
    folder = runs_folder(results)
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def find_records(results: Path) -> Found:
    """Every finished run in the folder, and the folders whose record cannot be used; both empty where there is none."""
    found, shared = Found([], []), SharedParts()
    for run_id in run_ids(results):
        folder = RunFolder(results, run_id)
        try:
            record = folder.read_record()
        except DataError as fault:
            found.unusable.append(Unusable(folder, fault))
            continue
        if record is not None:
            found.records.append(shared.of(record))
    found.records.sort(key=lambda record: (record.label, record.seed, record.run_id))
    return found


def read_records(results: Path) -> list[Record]:
    """Every finished run in the folder, sorted by label, seed and id; empty where there is none.

    Records that cannot be used are left out and logged, one warning each; `find_records` gives them.
    """
    found = find_records(results)
    for each in found.unusable:
        LOG.warning("%s", each.fault)
    return found.records


def read_metrics(results: Path, run_id: str) -> list[EpochMetrics]:
    """The epochs of one run, oldest first.

    Raises:
        DataError: the run's record cannot be used, or the file is not the one that it was made with.
    """
    folder = RunFolder(results, run_id)
    return folder.read_metrics(folder.read_record())
