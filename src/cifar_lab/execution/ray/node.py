"""Worker process on a node of the cluster, with its scratch folder. No Ray, no torch.

The process is the same as in the local engine. It works in a scratch results folder, from which new files are sent to
the driver with each event.
"""

from __future__ import annotations

import hashlib
import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cifar_lab.config import Data
from cifar_lab.core._version import __version__
from cifar_lab.core.atomic_io import make_folder, write_bytes
from cifar_lab.core.host import GIT_STATE, SHIPPED, below
from cifar_lab.data import cache as data_cache
from cifar_lab.data import shipping
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import STOP, decode_task, encode_task
from cifar_lab.execution.ray.scratch import Scratch
from cifar_lab.execution.ray.transfers import NodeUpdate, RunFiles, WatchedFolder
from cifar_lab.execution.watchdog import OomWatch
from cifar_lab.store.failures import Kind
from cifar_lab.store.results import RunFolder
from cifar_lab.training.events import Message, RunEnd, StepCompleted, TaskDone

LISTEN_SECONDS = 1.0
"""Longest wait of `listen` for a message."""

POLL_SECONDS = 0.1
"""Interval between checks of the process."""

PACKAGES = ("torch", "torchvision", "numpy")


class NodeWorker:
    """Ray actor of a worker. Only `stop`, `end_slowly` and `listen` are called concurrently."""

    def __init__(self, threads: int, git_state: str) -> None:
        """`git_state`: the driver's `core.git_diff.git_state_text`, for the records."""
        self._scratch = Scratch("cifar-lab-node-")
        self._files, self._cache = self._scratch.path / "files", self._scratch.path / "cache"
        self._results = self._scratch.path / "results"
        self._home = data_cache.home()
        # The worker process inherits them.
        os.environ |= {"CIFAR_LAB_CACHE": str(self._cache), SHIPPED: str(self._files), GIT_STATE: git_state}
        self._threads = threads
        self._oom_watch = OomWatch()
        self._watched: dict[str, WatchedFolder] = {}
        self._heard: list[Message] = []
        self._over = False
        self._changed = threading.Condition()
        self._child: WorkerProcess | None = None

    def introduce(self) -> tuple[str, dict[str, str]]:
        """Name of this machine and the versions that affect numbers."""
        return platform.node(), versions()

    def lacks(self, wanted: Sequence[tuple[Data, str]]) -> list[str]:
        """Fingerprints of the images that are missing on this machine. Links those that are there."""
        return [each for data, each in wanted if not shipping.link(data, each, self._home, self._cache)]

    def keep(self, cargo: shipping.Cargo) -> None:
        """Put images into this machine's cache. The arrays may be in the node's shared memory."""
        shipping.keep(cargo, self._home)

    def take(self, line: str, run_files: Sequence[RunFiles], paths: Sequence[str], *contents: bytes) -> None:
        """Start a task.

        Args:
            line: from `encode_task`.
            run_files: files to resume its runs from, and those of their teachers.
            paths, contents: files that its settings name.
        """
        for path, content in zip(paths, contents, strict=True):
            local = below(self._files, Path(path))
            make_folder(local.parent)
            write_bytes(local, content)
        cohorts, streams = decode_task(line)
        moved = [[replace(job, results=self._results) for job in cohort] for cohort in cohorts]
        self._watched = {}
        for sent in run_files:
            folder = RunFolder(self._results, sent.run_id)
            make_folder(folder.path)
            folder.discard()
            for name, content in sent.files.items():
                write_bytes(folder.path / name, content)
            self._watched[sent.run_id] = WatchedFolder(folder)
        self._start().say(encode_task(moved, streams))

    def _start(self) -> WorkerProcess:
        """The worker process, started if necessary."""
        if self._child is None:
            started = threading.Event()
            # The process dies with the thread that starts it, so that thread must live on.
            threading.Thread(target=self._serve, args=(started,), daemon=True).start()
            started.wait()
        assert self._child is not None
        return self._child

    def _serve(self, started: threading.Event) -> None:
        self._child = WorkerProcess(self._threads)
        started.set()
        for message in self._child.messages():
            with self._changed:
                self._heard.append(message)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def listen(self) -> NodeUpdate:
        """Messages and files since the last call. Waits up to LISTEN_SECONDS for one."""
        give_up = time.monotonic() + LISTEN_SECONDS
        with self._changed:
            while not self._heard and not self._over and time.monotonic() < give_up:
                self._changed.wait(POLL_SECONDS)
                self._look()
            messages, self._heard, over = self._heard, [], self._over
        return NodeUpdate(self._changed_files(messages), [self._with_driver_paths(each) for each in messages], over)

    def _look(self) -> None:
        self._oom_watch.look()
        if (child := self._child) is not None:
            child.end_group()
            if child.ending_since is not None:
                child.end_slowly()

    def _changed_files(self, messages: Sequence[Message]) -> list[RunFiles]:
        """New files of the runs in the messages. Progress within an epoch writes none."""
        told = [each for each in messages if not isinstance(each.event, StepCompleted | TaskDone)]
        ended = {run_id for event, run_id in told if isinstance(event, RunEnd)}
        run_ids = dict.fromkeys(each.run_id for each in told if each.run_id in self._watched)
        changed = (self._watched[run_id].changed(ended=run_id in ended) for run_id in run_ids)
        return [files for files in changed if files is not None]

    def _with_driver_paths(self, message: Message) -> Message:
        """The message with the names of files on the driver's machine."""
        scratch, event = str(self._files), message.event
        values = {each.name: getattr(event, each.name) for each in fields(event)}
        texts = {name: value.replace(scratch, "") for name, value in values.items() if isinstance(value, str)}
        return Message(replace(event, **texts), message.run_id)

    def stop(self) -> None:
        """Stop after this epoch."""
        self._start().say(STOP)

    def end_slowly(self) -> None:
        """As `WorkerProcess.end_slowly`, called once."""
        self._start().end_slowly()

    def autopsy(self) -> tuple[Kind, str, str | None]:
        """(kind, reason, location at SIGTERM) of the process's end."""
        child = self._start()
        child.kill()
        code, location = child.process.wait(), child.location()
        if code == -9 and self._oom_watch.struck():
            return "oom", "out of memory: the kernel ended its process", location
        kind: Kind = "oom" if child.ran_out_of_memory() else "killed"
        reason = child.cause_of_death().replace(str(self._files), "")
        return kind, f"out of memory: {reason}" if kind == "oom" else reason, location

    def close(self) -> None:
        """End the process and remove the scratch folder."""
        if self._child is not None and not self._over:
            self._child.close()
        self._scratch.remove()


@cache
def versions() -> dict[str, str]:
    """Version by name: Python, numerical libraries, and this package with a hash of its sources."""
    found = {"python": platform.python_version(), "cifar-lab": f"{__version__} ({_sources()[:8]})"}
    return found | {name: _installed(name) for name in PACKAGES}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def differences(driver: dict[str, str], node: dict[str, str]) -> str:
    """Differing versions, in words. Empty if there is none."""
    names = [name for name in driver if node.get(name) != driver[name]]
    return ", ".join(f"{name} {node.get(name, 'missing')} instead of {driver[name]}" for name in names)


def _sources() -> str:
    """SHA-256 of the package's Python files, because two checkouts of one version may differ."""
    folder, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
