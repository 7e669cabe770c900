"""The folder of one run: its record, state and lock, and the writing of its files. No torch.

Status is derived: a valid record is done, a held lock is running, a folder with neither is interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX, remove, set_aside, write_bytes
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import is_regular
from cifar_lab.store import locks
from cifar_lab.store.coherence import contradiction
from cifar_lab.store.packed import is_left_out
from cifar_lab.store.record_files import DamagedRecordError, read_record, write_record
from cifar_lab.store.records import Record
from cifar_lab.store.run_files import ATTACK_FILE, is_run_file
from cifar_lab.store.run_paths import METRICS, previous
from cifar_lab.store.run_texts import DamagedFileError, RunTexts

NOTING_SECONDS = 60.0
"""Age from which the temporary file of a failure is one of a dead process."""


class RunFolder(RunTexts):
    """The folder of one run: its record, its state, its lock and all its files."""

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

    def left_out(self, path: Path, what: str) -> str:
        """Line on damage of the run that a reader leaves out, with the command that makes the run again."""
        command = ["cifar-lab", "run", self.settings.as_posix(), "--results", self.path.parents[1].as_posix()]
        if not self.settings.is_file():
            return f"{path}: {what} and left out; `cifar-lab run` with the settings of its arm retrains the run"
        return f"{path}: {what} and left out; to retrain the run: {shlex.join(command)}"

    def has_checkpoint(self) -> bool:
        """Whether the run can be resumed. During a save only the checkpoint before exists."""
        return any(map(is_regular, self.checkpoints()))

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
