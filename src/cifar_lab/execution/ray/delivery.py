"""What comes back from a node is checked and written into the run's folder, by the driver alone. No Ray, no torch."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cifar_lab.core.atomic_io import disk_errors, make_folder, remove, rename, set_aside, write_bytes
from cifar_lab.core.errors import DataError
from cifar_lab.execution.ray.transfers import RunFiles, inward, previous
from cifar_lab.store.records import CopiedRecordError, DamagedRecordError, Record, read_record
from cifar_lab.store.run_folder import RunFolder
from cifar_lab.training.job import Job

COMPARED = ("status", "val", "test", "files", "epochs_trained")
"""What two runs of the same settings and seed have in common where rounding is the same."""


class DamagedParcel(Exception):
    """What arrived is not what was sent, or not what its record says."""


class Destination:
    """The folder of one run on the driver's machine, held against other commands while the run is made elsewhere."""

    def __init__(self, job: Job) -> None:
        """Hold the folder; made if it is missing.

        Raises:
            EnvironmentFault: another process holds it, or it cannot be written.
        """
        self.job = job
        self.folder = RunFolder(job.results, job.run_id)
        make_folder(self.folder.path)
        with ExitStack() as lock:
            lock.enter_context(self.folder.lock())
            self._lock = lock.pop_all()

    def close(self) -> None:
        """The folder is free."""
        self._lock.close()

    def accept(self, parcel: RunFiles) -> str | None:
        """Write the files of a parcel, the record last; the checkpoints of a run that is done go.

        Of two whole results the first stays.

        Returns:
            What is to be said of a second one; None where all is well.

        Raises:
            DamagedParcel: nothing of it was written.
            EnvironmentFault: the folder is gone or the disk refuses.
        """
        if not parcel.whole():
            raise DamagedParcel("its files arrived damaged")
        known = {path.name for path in inward(self.folder)}
        if not known.issuperset(parcel.files) or any("/" in name for name in parcel.set_aside):
            raise DamagedParcel("it holds files that no run has")
        record = self._record_in(parcel)
        for name in parcel.set_aside:
            self._set_aside(name)
        if (first := self.first_result()) is not None:
            return self._compare(first, record) if record is not None else None
        for name, content in parcel.files.items():
            path = self.folder.path / name
            if path == self.folder.checkpoint and path.exists():
                with disk_errors(path):
                    rename(path, previous(path), sync=False)
            write_bytes(path, content)
        if record is not None:
            remove(*self.folder.checkpoints())
        return None

    def _record_in(self, parcel: RunFiles) -> Record | None:
        content = parcel.files.get(self.folder.record.name)
        if content is None:
            return None
        with tempfile.TemporaryDirectory() as folder:  # read as it will be, before it is put where it counts
            path = RunFolder(Path(folder), self.job.run_id).record
            make_folder(path.parent)
            write_bytes(path, content)
            try:
                record = read_record(path)
            except CopiedRecordError as error:
                raise DamagedParcel(f"its record is that of run {error.run_id}") from error
            except DataError as error:
                raise DamagedParcel("its record cannot be read") from error
        for name, digest in record.files.items():
            sent = parcel.files.get(name)
            if sent is not None and hashlib.sha256(sent).hexdigest() != digest:
                raise DamagedParcel(f"{name} is not the one that its record names")
        return record

    def first_result(self) -> Record | None:
        """The record that is there already, with nothing missing.

        Raises:
            DataError: it is of a newer version of cifar-lab.
        """
        try:
            record = self.folder.read_record()
        except DamagedRecordError:  # the node sets it aside, and notes it in the new one
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
            "compare the machines: one of them computes otherwise"
        )

    def _set_aside(self, name: str) -> None:
        """What was found damaged on the node is so here."""
        whole = self.folder.path / name.removesuffix(".damaged")
        if whole.exists():
            set_aside(whole)
