"""The folder of a run, its files and their names, which only this file knows. No torch.

    results/runs/<run id>/
        settings.yaml         the resolved settings with this run's seed; `cifar-lab run` takes it
        record.json           what `records.py` describes; present and valid means that the run is done
        metrics.jsonl         a line an epoch
        predictions.npz       labels and logits of the test split, in data-set order
        weights.safetensors   the trained weights
        checkpoint.bin        while the run is under way: the last good epoch, and the one before
    results/sweeps/<name>/    plan.json, winners.json
    results/stopping/         <question>.json: the looks that `run --until-decided` planned

Status is derived: a valid record is done; a held lock is running; a folder with neither is interrupted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pydantic import ValidationError

from cifar_lab.durable import disk_errors, write_text
from cifar_lab.errors import DataError, EnvironmentFault
from cifar_lab.machine import utc_now
from cifar_lab.records import SCHEMA, EpochMetrics, Record

LOG = logging.getLogger(__name__)

LOCK_PATIENCE_SECONDS = 0.5


class DamagedRecordError(DataError):
    """A record that is not what was written: it is set aside and the run made again, never used."""


class CopiedRecordError(DamagedRecordError):
    """A record in a folder of another name: a run that was copied, which must not count twice."""

    def __init__(self, path: Path, run_id: str) -> None:
        super().__init__(f"{path}: is a copy of run {run_id} and is not counted; move {path.parent} elsewhere")
        self.run_id = run_id


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


class RunFolder:
    """The folder of one run: where its files lie and how they are read and written."""

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = runs_folder(results) / run_id
        self.settings = self.path / "settings.yaml"
        self.record = self.path / "record.json"
        self.metrics = self.path / "metrics.jsonl"
        self.predictions = self.path / "predictions.npz"
        self.weights = self.path / "weights.safetensors"
        self.checkpoint = self.path / "checkpoint.bin"
        self.lock_file = self.path / "lock"

    def read_record(self) -> Record | None:
        """The run's record; None where the run is not done.

        Raises:
            DataError: the record is damaged, or of a newer version of cifar-lab.
        """
        return read_record(self.record) if self.record.is_file() else None

    def read_metrics(self) -> list[EpochMetrics]:
        """A line an epoch, oldest first; empty before the first epoch has ended."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        try:
            return [EpochMetrics.model_validate_json(line) for line in lines]
        except ValidationError as error:
            raise DataError(f"{self.metrics}: is damaged; make the run again with --force") from error

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Replace metrics.jsonl by the whole history, so that a resumed run never repeats a line."""
        write_text(self.metrics, "".join(line.model_dump_json() + "\n" for line in history))

    def write_record(self, record: Record) -> None:
        """The last write of a run: from now on it is done."""
        write_text(self.record, record.model_dump_json(indent=1) + "\n")

    def set_aside_damaged_record(self) -> str | None:
        """Rename a record that cannot be read to `record.json.damaged`; a note on it, or None if nothing was wrong."""
        try:
            self.read_record()
        except DamagedRecordError:
            with disk_errors(self.record):
                self.record.replace(self.record.with_name("record.json.damaged"))
            return "the record was damaged; set aside as record.json.damaged, and the run made again"
        return None

    def discard(self) -> None:
        """Forget what the run left, its record first: it will be made again from nothing."""
        with disk_errors(self.path):
            for path in (self.record, self.checkpoint, self.metrics, self.predictions, self.weights):
                for old in (path, path.with_name(path.name + ".previous")):
                    old.unlink(missing_ok=True)

    def has_checkpoint(self) -> bool:
        """Whether there is an epoch to go on from; amid a save only the one before has its name."""
        return any(path.is_file() for path in (self.checkpoint, self.checkpoint.with_name("checkpoint.bin.previous")))

    def unfinished_state(self) -> Literal["running", "interrupted"]:
        """Of a folder without a record: whether a process holds it."""
        try:
            with self.lock_file.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "running"
        except FileNotFoundError:
            pass
        return "interrupted"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run against other processes; free at once when this process ends, however it ends.

        Raises:
            EnvironmentFault: another process holds it; names the process, or the folder cannot be written.
        """
        with self._locked_file() as file:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()} since {utc_now()}")
            file.flush()
            for left in self.path.glob(".*.tmp"):  # of a process that was killed while it wrote
                left.unlink(missing_ok=True)
            yield
            self.lock_file.unlink(missing_ok=True)

    def _locked_file(self) -> IO[str]:
        """The lock file, opened and locked.

        The holder before may have unlinked it between our opening and our locking: then another process can lock a
        new file of that name, and ours holds nothing. Who only looks holds it for an instant, so a refusal is tried
        again for a while.
        """
        give_up = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            with disk_errors(self.path):
                file = self.lock_file.open("a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with file:
                    if time.monotonic() < give_up:
                        time.sleep(0.05)
                        continue
                    file.seek(0)
                    holder = file.read(200).strip() or "another process"
                raise EnvironmentFault(
                    f"{self.path}: held by {holder}; wait for it, or end it, then give the same command again"
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.lock_file.stat()):
                    return file
            file.close()


class SweepFolder:
    """The folder of one sweep: the expanded plan and the winners, both made anew from the runs."""

    def __init__(self, results: Path, name: str) -> None:
        """`name` is the stem of the sweep file, which may hold anything that a file name may."""
        self.path = results / "sweeps" / _folder_name(name)
        self.plan = self.path / "plan.json"
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


def runs_folder(results: Path) -> Path:
    """Where the run folders lie."""
    return results / "runs"


def run_ids(results: Path) -> list[str]:
    """Every run that has a folder, done or not."""
    folder = runs_folder(results)
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def read_record(path: Path) -> Record:
    """The record in `path`.

    Raises:
        DataError: it is damaged, a copy of another run's, or of a newer version of cifar-lab; names the file and the
            way on.
    """
    try:
        values = json.loads(path.read_bytes())
        if isinstance(values, dict) and isinstance(values.get("schema"), int) and values["schema"] > SCHEMA:
            raise DataError(
                f"{path}: is of schema {values['schema']}, this cifar-lab reads up to {SCHEMA}; "
                "install a newer cifar-lab"
            )
        record = Record.model_validate(values)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError(
            f"{path}: is damaged; `cifar-lab run` on its settings sets it aside and makes the run again"
        ) from error
    if record.run_id != path.parent.name:
        raise CopiedRecordError(path, record.run_id)
    return record


def find_records(results: Path) -> Found:
    """Every finished run in the folder, and the folders whose record cannot be used; both empty where there is none."""
    found = Found([], [])
    for run_id in run_ids(results):
        folder = RunFolder(results, run_id)
        try:
            record = folder.read_record()
        except DataError as fault:
            found.unusable.append(Unusable(folder, fault))
            continue
        if record is not None:
            found.records.append(record)
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
    """The epochs of one run, oldest first."""
    return RunFolder(results, run_id).read_metrics()
