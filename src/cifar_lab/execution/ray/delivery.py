"""Delivery of a node's files into the run's folder, after verification, by the driver only. No Ray, no torch."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cifar_lab.core.atomic_io import disk_errors, make_folder, remove, rename, set_aside, write_bytes
from cifar_lab.core.errors import DataError
from cifar_lab.execution.ray.transfers import RunFiles, inward, previous
from cifar_lab.store.record_files import CopiedRecordError, DamagedRecordError, read_record
from cifar_lab.store.records import Record
from cifar_lab.store.run_folder import RunFolder
from cifar_lab.training.job import Job

COMPARED = ("status", "val", "test", "files", "epochs_trained")
"""Fields that are equal for two runs of the same settings and seed with the same rounding."""


class DamagedFiles(Exception):
    """Files do not match their checksums or their record."""


class Destination:
    """Folder of one run on the driver's machine, locked while a node makes the run."""

    def __init__(self, job: Job) -> None:
        """Lock the folder, and create it if missing.

        Raises:
            HeldError: another process has locked it.
            EnvironmentFault: it cannot be written.
        """
        self.job = job
        self.folder = RunFolder(job.results, job.run_id)
        make_folder(self.folder.path)
        with ExitStack() as lock:
            lock.enter_context(self.folder.lock(at_once=True))
            self._lock = lock.pop_all()

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.close()

    def accept(self, sent_files: RunFiles) -> str | None:
        """Write the files, the record last, and remove the checkpoints of a run that is done.

        If there is a result already, it stays.

        Returns:
            A notice about a second result, or None.

        Raises:
            DamagedFiles: nothing was written.
            EnvironmentFault: the folder is gone or the disk refuses.
        """
        if not sent_files.whole():
            raise DamagedFiles("its files arrived damaged")
        known = {path.name for path in inward(self.folder)}
        if not known.issuperset(sent_files.files) or any("/" in name for name in sent_files.set_aside):
            raise DamagedFiles("it contains files that do not belong to a run")
        record = self._record_in(sent_files)
        for name in sent_files.set_aside:
            self._set_aside(name)
        if (first := self.first_result()) is not None:
            return self._compare(first, record) if record is not None else None
        for name, content in sent_files.files.items():
            path = self.folder.path / name
            if path == self.folder.checkpoint and path.exists():
                with disk_errors(path):
                    rename(path, previous(path), sync=False)
            write_bytes(path, content)
        if record is not None:
            remove(*self.folder.checkpoints())
        return None

    def _record_in(self, sent_files: RunFiles) -> Record | None:
        content = sent_files.files.get(self.folder.record.name)
        if content is None:
            return None
        with tempfile.TemporaryDirectory() as folder:  # validate it before it enters the run folder
            path = RunFolder(Path(folder), self.job.run_id).record
            make_folder(path.parent)
            write_bytes(path, content)
            try:
                record = read_record(path)
            except CopiedRecordError as error:
                raise DamagedFiles(f"its record belongs to run {error.run_id}") from error
            except DataError as error:
                raise DamagedFiles("its record cannot be read") from error
        settings = {self.folder.settings.name: record.settings_sha256} if record.settings_sha256 else {}
        for name, digest in (record.files | settings).items():
            sent = sent_files.files.get(name)
            if sent is not None and hashlib.sha256(sent).hexdigest() != digest:
                raise DamagedFiles(f"{name} is not the one that its record names")
        return record

    def first_result(self) -> Record | None:
        """The existing record, if it is complete.

        Raises:
            DataError: it is of a newer version of cifar-lab.
        """
        try:
            record = self.folder.read_record()
        except DamagedRecordError:  # the node renames it, and notes this in the new one
            return None
        if record is not None and self.job.read_test and record.test_reason == "search":
            return None
        return record

    def _compare(self, first: Record, second: Record) -> str:
        differing = [name for name in COMPARED if getattr(first, name) != getattr(second, name)]
        said = f"{self.job.name}: a second result came from {second.environment.device_name}; the first one counts"
        if not differing or not self.job.settings.runtime.deterministic:
            return said
        return (
            f"WARNING: {said}, BUT THEY DIFFER in {', '.join(differing)} although runtime.deterministic is true; "
            "compare the machines: one of them computes differently"
        )

    def _set_aside(self, name: str) -> None:
        """Rename the driver's copy of a file that was damaged on the node."""
        whole = self.folder.path / name.removesuffix(".damaged")
        if whole.exists():
            set_aside(whole)
