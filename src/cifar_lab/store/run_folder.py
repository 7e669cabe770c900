"""The folder of one run: names, reading and writing of its files. No torch.

    results/runs/<run id>/
        settings.yaml         the resolved settings with this run's seed, an input of `cifar-lab run`
        record.json           see `records`. The run is done if it is valid and the files that it names exist
        metrics.jsonl         one line per epoch
        predictions.npz       labels and logits of the test split, in data-set order
        weights.safetensors   the trained weights
        checkpoint.bin        during the run: the last good epoch, and beside it the one before
        attack-<id>.json      an attack on the trained network, see `attack_records`
        failure.json          reason of the last failure, until the run is started again

Status is derived: a valid record is done, a held lock is running, a folder with neither is interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shlex
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX, remove, set_aside, write_bytes, write_text
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import NotRegularError, read_regular
from cifar_lab.store import locks
from cifar_lab.store.coherence import contradiction
from cifar_lab.store.packed import is_left_out
from cifar_lab.store.record_files import DamagedRecordError, read_record, write_record
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.run_files import ATTACK_FILE, is_run_file

METRICS = "metrics.jsonl"
PREDICTIONS = "predictions.npz"

NOTING_SECONDS = 60.0
"""Age from which the temporary file of a failure is one of a dead process."""


class DamagedFileError(DataError):
    """A file beside a record whose content is not what was written."""

    def __init__(self, path: Path, fault: str) -> None:
        folder, results = path.parent, path.parents[2]
        command = [
            "cifar-lab",
            "run",
            (folder / "settings.yaml").as_posix(),
            "--results",
            results.as_posix(),
            "--force",
        ]
        super().__init__(f"{path}: {fault}; to retrain the run: {shlex.join(command)}")
        self.path, self.what = path, fault


class _Named:
    """Path of a file in a run's folder, built on access because a plan reads thousands of folders."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, owner: type[RunFolder]) -> Path:
        return folder.path / self.name


class RunFolder:
    """The folder of one run, with the paths of its files."""

    settings = _Named("settings.yaml")
    record = _Named("record.json")
    metrics = _Named(METRICS)
    predictions = _Named(PREDICTIONS)
    weights = _Named("weights.safetensors")
    checkpoint = _Named("checkpoint.bin")
    failure = _Named("failure.json")
    lock_file = _Named("lock")

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = runs_folder(results) / run_id

    def read_record(self) -> Record | None:
        """The run's record. None where the run is not done.

        Raises:
            DataError: the record is damaged or lost, or of a newer version. Or the folder is a symbolic link.
        """
        self.refuse_link()
        for _ in range(2):
            try:
                record = read_record(self.record)
            except FileNotFoundError:
                if not self.lost_its_record() or locks.is_held(self.lock_file):
                    return None
            else:
                if fault := contradiction(record):
                    raise DamagedRecordError(self.record, f"is damaged ({fault})")
                return record
        raise DamagedRecordError(self.record, "is missing, although the run has ended")  # it was not there twice

    def lost_its_record(self) -> bool:
        """Whether a run has left files, but neither a record nor a checkpoint, and nothing was set aside.

        A checkpoint is removed after the record is written, so one of them remains wherever a run is stopped.
        """
        unpacked = is_left_out(self.checkpoint)  # a run that a search pruned then has epochs and nothing else
        ended = any(path.exists() for path in (self.predictions, self.weights, *(() if unpacked else (self.metrics,))))
        aside = (path.name for path in self.path.glob(f"*{DAMAGED_SUFFIX}"))
        return ended and not self.has_checkpoint() and all(name == f"notes.json{DAMAGED_SUFFIX}" for name in aside)

    def read_metrics(self, record: Record | None = None) -> list[EpochMetrics]:
        """Metrics per epoch, oldest first. Empty before the end of the first epoch.

        Raises:
            DamagedFileError: the file is damaged, or not the one that `record` names.
        """
        wanted = record.metrics_sha256 if record is not None else None
        try:
            lines = self._read(self.metrics).splitlines()
            history = [EpochMetrics.model_validate_json(line) for line in lines]
        except FileNotFoundError as error:
            if wanted is None:
                return []
            raise DamagedFileError(self.metrics, "is missing") from error
        except (ValidationError, NotRegularError) as error:
            raise DamagedFileError(self.metrics, "is damaged") from error
        except OSError as error:
            raise DamagedFileError(self.metrics, f"cannot be read ({error.strerror})") from error
        if record is not None and wanted is not None:
            seconds = sum(line.seconds for line in history)
            same_time = math.isclose(seconds, record.train_seconds, rel_tol=1e-12)  # Python versions sum differently
            if metrics_digest(history) != wanted or not same_time:
                raise DamagedFileError(self.metrics, "is damaged (it differs from the record)")
        return history

    def read_settings(self, record: Record | None = None) -> bytes:
        """Text of settings.yaml.

        Raises:
            DamagedFileError: it cannot be read, or is not the one that `record` names.
        """
        wanted = record.settings_sha256 if record is not None else None
        try:
            content = self._read(self.settings)
        except OSError as error:
            raise DamagedFileError(self.settings, f"cannot be read ({error.strerror})") from error
        if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
            raise DamagedFileError(self.settings, "is damaged (its SHA-256 differs from the record)")
        return content

    def refuse_link(self) -> None:
        """Refuse a folder that is a symbolic link, since it leads out of the results.

        Raises:
            DataError: it is one.
        """
        if self.path.is_symlink():
            raise DataError(
                f"{self.path}: is a symbolic link, which is not followed; replace it with the folder itself"
            )

    def _read(self, path: Path) -> bytes:
        """Content of a file of this folder.

        Raises:
            DataError: the folder is a symbolic link.
            OSError: the file is missing, or no regular file.
        """
        self.refuse_link()
        return read_regular(path)

    def read_file(self, record: Record, name: str) -> bytes:
        """Read a file beside the record and check it against the record's SHA-256.

        Raises:
            DamagedFileError: it is missing or damaged.
        """
        if name not in record.files:
            raise DamagedFileError(self.path / name, "is not named in the record")
        path = self.path / name
        if is_left_out(path):
            raise DataError(f"{path}: the pack of these results has no weights; ask for a pack that has them")
        try:
            content = self._read(path)
        except OSError as error:
            raise DamagedFileError(path, f"cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != record.files[name]:
            raise DamagedFileError(path, "is damaged (its SHA-256 differs from the record)")
        return content

    def incomplete_file(self, record: Record) -> str | None:
        """Name of a file of the record that is missing or truncated. None where all sizes are right.

        Only sizes are compared, which is fast enough for every run of a plan.
        """
        names = (*record.files, *([METRICS] if record.metrics_sha256 else ()))
        return next((name for name in names if not self._has_size(name, record)), None)

    def _has_size(self, name: str, record: Record) -> bool:
        try:
            found = os.lstat(f"{self.path}/{name}")
        except OSError:
            return is_left_out(self.path / name)
        size, expected = found.st_size, record.sizes.get(name)  # none of metrics.jsonl, and in records of schema 1
        if not stat.S_ISREG(found.st_mode):
            return False
        return size == expected if expected is not None else size > 0 or name == METRICS

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of files that were just written, by name."""
        return {name: (self.path / name).stat().st_size for name in names}

    def write_file(self, name: str, content: bytes) -> None:
        """Replace a file beside the record."""
        write_bytes(self.path / name, content)

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Replace metrics.jsonl by the whole history, so that a resumed run never repeats a line."""
        write_text(self.metrics, "".join(line.model_dump_json() + "\n" for line in history))

    def write_record(self, record: Record) -> None:
        """Write the record with its checksum, as the last file: the run is done."""
        write_record(self.record, record)

    def set_aside_damage(self) -> str | None:
        """Rename an unusable record to `record.json.damaged`. Returns a note, or None where nothing was wrong.

        A record whose files are missing or truncated is unusable too.
        """
        try:
            record = self.read_record()
        except DamagedRecordError:
            what = "the record was damaged"
            if not self.record.exists():
                return "the record was missing, and the run trained again"
        else:
            name = self.incomplete_file(record) if record is not None else None
            if name is None:
                return None
            what = f"{name} was missing or cut short, so the record was wrong"
        aside = set_aside(self.record)
        return f"{what}; set aside as {aside.name}, and the run trained again"

    def set_aside(self, damaged: Path) -> Path:
        """Rename a damaged file, and before it the record that it belongs to. Returns the file's new path.

        A missing file is not renamed, and a checkpoint belongs to no record.
        """
        if damaged not in self.checkpoints() and damaged != self.record and os.path.lexists(self.record):
            set_aside(self.record)
        return set_aside(damaged) if os.path.lexists(damaged) else damaged

    def discard(self) -> None:
        """Delete the files of the run, its record first, so that it starts from scratch."""
        remove(self.record)
        files = (self.checkpoint, self.metrics, self.predictions, self.weights, self.failure)
        remove(*(old for path in files for old in (path, previous(path))), *self.attacks())

    def attacks(self) -> list[Path]:
        """Paths of the records of attacks on the run's network, by name."""
        return sorted(path for path in self.path.glob("attack-*.json") if ATTACK_FILE.fullmatch(path.name))

    def checkpoints(self) -> tuple[Path, Path]:
        """Paths of the checkpoints of the last epoch and of the one before."""
        return self.checkpoint, previous(self.checkpoint)

    def left_out(self, path: Path, what: str) -> str:
        """Line on damage of the run that a reader leaves out, with the command that makes the run again."""
        command = ["cifar-lab", "run", self.settings.as_posix(), "--results", self.path.parents[1].as_posix()]
        if not self.settings.is_file():
            return f"{path}: {what} and left out; `cifar-lab run` with the settings of its arm retrains the run"
        return f"{path}: {what} and left out; to retrain the run: {shlex.join(command)}"

    def has_checkpoint(self) -> bool:
        """Whether the run can be resumed. During a save only the checkpoint before exists."""
        return any(path.is_file() and not path.is_symlink() for path in self.checkpoints())

    def unfinished_state(self) -> Literal["running", "interrupted"]:
        """State of a folder without a record: running if a process holds its lock."""
        return "running" if locks.is_held(self.lock_file) else "interrupted"

    def holder(self) -> str | None:
        """Description of the process that holds the run. None where it is free."""
        return locks.holder_of(self.lock_file)

    @contextlib.contextmanager
    def lock(self, *, at_once: bool = False) -> Iterator[None]:
        """Hold the run against other processes. The lock is released when this process ends, however it ends.

        Args:
            at_once: do not wait for a process that trains the run.

        Raises:
            HeldError: another process holds it, and is named.
            EnvironmentFault: the folder cannot be written.
        """
        with locks.hold(self.lock_file, trust_name=at_once):
            remove(*self.abandoned())
            yield

    def abandoned(self) -> Iterator[Path]:
        """Temporary files of processes that were killed while they wrote, if no process holds the run.

        A failure is noted without the lock.
        """
        for path in self.path.glob(".*.tmp"):
            if not is_run_file(path.name):
                continue
            if not path.name.startswith(f".{self.failure.name}.") or _age(path) > NOTING_SECONDS:
                yield path


def _age(path: Path) -> float:
    """Seconds since a file was changed. 0 for a file that is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def previous(checkpoint: Path) -> Path:
    """Path of the checkpoint of the epoch before."""
    return checkpoint.with_name(checkpoint.name + ".previous")


def runs_folder(results: Path) -> Path:
    """Folder of all run folders."""
    return results / "runs"


def text_digest(text: str) -> str:
    """SHA-256 of a file that `write_text` writes, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def metrics_digest(history: Sequence[EpochMetrics]) -> str:
    """SHA-256 over the epochs without their seconds, as 64 hex digits."""
    lines = "".join(line.model_dump_json(exclude={"seconds"}) + "\n" for line in history)
    return hashlib.sha256(lines.encode()).hexdigest()
