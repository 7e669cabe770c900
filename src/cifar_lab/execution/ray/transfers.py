"""Transfers between the driver and a node: files of runs, messages, and the cluster's object store. No torch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.config import Data, Settings
from cifar_lab.config.loss import distillation
from cifar_lab.config.model_options import source_run
from cifar_lab.config.model_source import source_files
from cifar_lab.config.own_code import own_code
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.files import read_file
from cifar_lab.data import shipping
from cifar_lab.store.results import RunFolder
from cifar_lab.store.run_paths import previous as previous
from cifar_lab.training.events import Message
from cifar_lab.training.job import Job


@dataclass(frozen=True)
class RunFiles:
    """Files of one run's folder, with checksums."""

    run_id: str
    files: Mapping[str, bytes]
    """Content by name, in the order of writing."""
    sha256: Mapping[str, str]
    set_aside: tuple[str, ...] = ()
    """Names of files that were found damaged."""

    @classmethod
    def of(cls, run_id: str, files: Mapping[str, bytes], set_aside: tuple[str, ...] = ()) -> RunFiles:
        """Create with the checksums of the files."""
        return cls(
            run_id, files, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}, set_aside
        )

    def whole(self) -> bool:
        """Whether every file matches its checksum."""
        return self.sha256 == {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}


@dataclass(frozen=True)
class NodeUpdate:
    """Files and messages from a node. The files must be written before the messages are passed on."""

    run_files: list[RunFiles] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    over: bool = False
    """Whether the worker process has ended. Nothing follows."""


def outward(job: Job) -> RunFiles:
    """Files that a node needs to resume the run: its checkpoints, or the record and its files if only the test is
    missing."""
    folder = RunFolder(job.results, job.run_id)
    paths = [folder.record, folder.checkpoint, previous(folder.checkpoint)]
    if folder.record.is_file():
        paths += [folder.weights, folder.metrics, folder.predictions]
    return RunFiles.of(job.run_id, {path.name: read_file(path) for path in paths if path.is_file()})


def teachers(jobs: Sequence[Job]) -> list[RunFiles]:
    """Record and weights of each run that is a teacher of these jobs (`loss.distill`)."""
    return [
        RunFiles.of(folder.path.name, {path.name: read_file(path) for path in (folder.weights, folder.record)})
        for folder in _teacher_folders(jobs)
    ]


def teacher_code(jobs: Sequence[Job]) -> list[Path]:
    """Files of the user with the models of these teachers. Nothing else that a teacher was trained with is needed."""
    found: list[Path] = []
    for folder in _teacher_folders(jobs):
        with suppress(DataError, SettingsError):  # a damaged record, or a file that is gone: the run reports it
            if (record := folder.read_record()) is not None:
                found += _sources([str(record.settings["model"]["name"])])
    return found


def _teacher_folders(jobs: Sequence[Job]) -> list[RunFolder]:
    asked = {(job.results, distill.teacher) for job in jobs if (distill := distillation(job.settings.loss)) is not None}
    named = [(results, source_run(teacher)) for results, teacher in sorted(asked)]
    return [RunFolder(results, run_id) for results, run_id in named if run_id is not None]


def inward(folder: RunFolder) -> list[Path]:
    """Files of a run that a node returns, in the order of writing."""
    return [
        folder.settings, folder.checkpoint, folder.metrics, folder.weights, folder.predictions, folder.record,
    ]  # fmt: skip


class WatchedFolder:
    """Folder of a run on a node, with the state of its files when they were last sent."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {
            path.name: self._mark(path) for path in inward(folder) if path.is_file()
        }
        self._aside: set[str] = set()

    def changed(self, *, ended: bool) -> RunFiles | None:
        """Files that changed, or None. The record is sent last, and only of a run that has `ended`."""
        paths = [path for path in inward(self._folder) if ended or path != self._folder.record]
        files = {}
        for path in paths:
            try:
                mark = self._mark(path)
                if mark == self._seen.get(path.name):
                    continue
                files[path.name] = read_file(path)
            except FileNotFoundError:  # not written yet, or being replaced: the next call finds it
                continue
            self._seen[path.name] = mark
        aside = tuple(path.name for path in sorted(self._folder.path.glob("*.damaged")) if path.name not in self._aside)
        self._aside.update(aside)
        return RunFiles.of(self._folder.path.name, files, aside) if files or aside else None

    @staticmethod
    def _mark(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns


class ObjectStore:
    """Cluster's object store: each object is put once, and a node fetches it once for all its workers."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._images: dict[str, Any] = {}
        self._files: dict[tuple[str, int, int], Any] = {}
        self._lock = threading.Lock()

    def images(self, data: Data, fingerprint: str) -> Any:
        """Reference to the `Cargo` of these images."""
        with self._lock:
            if fingerprint not in self._images:
                self._images[fingerprint] = self._ray.put(shipping.pack(data, fingerprint))
            return self._images[fingerprint]

    def files(self, settings: Sequence[Settings], more: Sequence[Path] = ()) -> dict[str, Any]:
        """Reference to the content of each file of source, weights or indices, and of `more` files, by path."""
        paths = dict.fromkeys([*(path for each in settings for path in _files_of(each)), *more])
        return {str(path): self._file(path) for path in paths}

    def _file(self, path: Path) -> Any:
        found = path.stat()
        key = (str(path), found.st_size, found.st_mtime_ns)
        with self._lock:
            if key not in self._files:
                self._files[key] = self._ray.put(read_file(path))
            return self._files[key]


def _files_of(settings: Settings) -> list[Path]:
    """Files on the driver's machine. A model in a package must be installed on every node."""
    stated = (settings.model.weights, settings.data.val_indices)
    files = [Path(path) for path in stated if path is not None]
    return [*_sources([name for _, name in own_code(settings)]), *files]


def _sources(names: Sequence[str]) -> list[Path]:
    """Files of classes and functions `file.py:NAME`, with those that they import."""
    by_path = [name for name in names if name.rpartition(":")[0].endswith(".py")]
    return [path.absolute() for name in by_path for path in source_files(name)]
