"""What travels between the driver and a node: files of run folders, by run. No Ray, no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.store.results import RunFolder
from cifar_lab.store.run_folder import previous as previous
from cifar_lab.training.job import Job


@dataclass(frozen=True)
class RunFiles:
    """Files of one run's folder."""

    run_id: str
    files: Mapping[str, bytes]
    """Content by name, in the order in which they are to be written."""
    sha256: Mapping[str, str]
    set_aside: tuple[str, ...] = ()
    """Files that were sent and found damaged."""

    @classmethod
    def of(cls, run_id: str, files: Mapping[str, bytes], set_aside: tuple[str, ...] = ()) -> RunFiles:
        """A parcel with the checksums of its files."""
        return cls(
            run_id, files, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}, set_aside
        )

    def whole(self) -> bool:
        """Whether every file is the one that was packed."""
        return self.sha256 == {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}


@dataclass(frozen=True)
class NodeUpdate:
    """What a node has to tell at a time; the parcels are to be written before the events are told."""

    parcels: list[RunFiles] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    over: bool = False
    """Whether its worker process has ended; nothing more will come."""


def outward(job: Job) -> RunFiles:
    """What a run that is to be made on another machine goes on from: its checkpoints; where it only lacks its test, its
    record with the files that it names, without which it would count as damaged."""
    folder = RunFolder(job.results, job.run_id)
    paths = [folder.record, folder.checkpoint, previous(folder.checkpoint)]
    if folder.record.is_file():
        paths += [folder.weights, folder.metrics, folder.predictions]
    return RunFiles.of(job.run_id, {path.name: path.read_bytes() for path in paths if path.is_file()})


def inward(folder: RunFolder) -> list[Path]:
    """The files of a run that come back from a node, in the order in which they are written."""
    return [
        folder.settings, folder.checkpoint, folder.metrics, folder.weights, folder.predictions, folder.record,
    ]  # fmt: skip


class Watched:
    """A run's folder on the node: which of its files have changed since they were last sent."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {
            path.name: self._mark(path) for path in inward(folder) if path.is_file()
        }
        self._aside: set[str] = set()

    def changed(self, *, ended: bool) -> RunFiles | None:
        """The files that are new; the record only of a run that has `ended`, and last. None where nothing is new."""
        paths = [path for path in inward(self._folder) if ended or path != self._folder.record]
        files = {}
        for path in paths:
            try:
                mark = self._mark(path)
                if mark == self._seen.get(path.name):
                    continue
                files[path.name] = path.read_bytes()
            except FileNotFoundError:  # not written yet, or a save is under way: the next look finds it
                continue
            self._seen[path.name] = mark
        aside = tuple(path.name for path in sorted(self._folder.path.glob("*.damaged")) if path.name not in self._aside)
        self._aside.update(aside)
        return RunFiles.of(self._folder.path.name, files, aside) if files or aside else None

    @staticmethod
    def _mark(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
