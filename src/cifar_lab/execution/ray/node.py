"""A worker process on a node of the cluster, with the folder that it works in. No Ray, no torch.

The process is the one that the local engine starts, and it makes runs by the same code, in a results folder of its own;
what it writes there goes to the driver at each event.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifar_lab.config import Data
from cifar_lab.core.atomic_io import make_folder, write_bytes
from cifar_lab.core.host import GIT_STATE
from cifar_lab.core.remote_paths import SHIPPED, below
from cifar_lab.data import cache, shipping
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.oom import OomWatch
from cifar_lab.execution.outcomes import ENDINGS
from cifar_lab.execution.protocol import STOP, TASK_DONE, decode_task, encode_task
from cifar_lab.execution.ray.scratch import Scratch
from cifar_lab.execution.ray.transfers import NodeUpdate, RunFiles, Watched
from cifar_lab.execution.ray.versions import versions
from cifar_lab.store.failures import Kind
from cifar_lab.store.results import RunFolder

LISTEN_SECONDS = 1.0
"""Longest that `listen` waits for something to tell."""

LOOK_SECONDS = 0.1
"""Between two looks at the process."""


class NodeWorker:
    """The node's end of a worker. Its methods are called one at a time, but for `stop`, `end_slowly` and `listen`."""

    def __init__(self, threads: int, git_state: str) -> None:
        """`git_state`: what the driver's `machine.git_state` says, for the records."""
        self._scratch = Scratch("cifar-lab-node-")
        self._files, self._cache = self._scratch.path / "files", self._scratch.path / "cache"
        self._results = self._scratch.path / "results"
        self._home = cache.home()
        # For the process that is started below, which inherits them.
        os.environ |= {"CIFAR_LAB_CACHE": str(self._cache), SHIPPED: str(self._files), GIT_STATE: git_state}
        self._threads = threads
        self._oom_watch = OomWatch()
        self._watched: dict[str, Watched] = {}
        self._heard: list[dict[str, Any]] = []
        self._over = False
        self._changed = threading.Condition()
        self._child: WorkerProcess | None = None

    def introduce(self) -> tuple[str, dict[str, str]]:
        """(name of this machine, versions of what decides numbers)."""
        return platform.node(), versions()

    def lacks(self, wanted: Sequence[tuple[Data, str]]) -> list[str]:
        """Fingerprints of the images that this machine does not have; those that it has are made ready."""
        return [each for data, each in wanted if not shipping.link(data, each, self._home, self._cache)]

    def keep(self, cargo: shipping.Cargo) -> None:
        """Put images into this machine's cache; the arrays may lie in memory that is shared by the node."""
        shipping.keep(cargo, self._home)

    def take(self, line: str, parcels: Sequence[RunFiles], paths: Sequence[str], *contents: bytes) -> None:
        """Begin a task.

        Args:
            line: of `encode_task`.
            parcels: what its runs go on from.
            paths, contents: files that its settings name.
        """
        for path, content in zip(paths, contents, strict=True):
            place = below(self._files, Path(path))
            make_folder(place.parent)
            write_bytes(place, content)
        cohorts, lanes = decode_task(line)
        moved = [[replace(job, results=self._results) for job in cohort] for cohort in cohorts]
        self._watched = {}
        for parcel in parcels:
            folder = RunFolder(self._results, parcel.run_id)
            make_folder(folder.path)
            folder.discard()
            for name, content in parcel.files.items():
                write_bytes(folder.path / name, content)
            self._watched[parcel.run_id] = Watched(folder)
        self._start().say(encode_task(moved, lanes))

    def _start(self) -> WorkerProcess:
        """The process; started where there is none."""
        if self._child is None:
            started = threading.Event()
            # The process dies with the thread that starts it, so that thread stays.
            threading.Thread(target=self._serve, args=(started,), daemon=True).start()
            started.wait()
        assert self._child is not None
        return self._child

    def _serve(self, started: threading.Event) -> None:
        self._child = WorkerProcess(self._threads)
        started.set()
        for event in self._child.events():
            with self._changed:
                self._heard.append(event)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def listen(self) -> NodeUpdate:
        """What has happened since the last call; waits a while for something."""
        give_up = time.monotonic() + LISTEN_SECONDS
        with self._changed:
            while not self._heard and not self._over and time.monotonic() < give_up:
                self._changed.wait(LOOK_SECONDS)
                self._look()
            events, self._heard, over = self._heard, [], self._over
        return NodeUpdate(self._pack(events), [self._readable(event) for event in events], over)

    def _look(self) -> None:
        self._oom_watch.look()
        if (child := self._child) is not None:
            child.end_group()
            if child.ending_since is not None:
                child.end_slowly()

    def _pack(self, events: Sequence[Mapping[str, Any]]) -> list[RunFiles]:
        """The new files of the runs that something but a step was told of."""
        told = [event for event in events if event["event"] not in ("step", TASK_DONE)]
        ended = {event["run_id"] for event in told if event["event"] in ENDINGS}
        parcels = []
        for run_id in dict.fromkeys(event["run_id"] for event in told):
            parcel = self._watched[run_id].changed(ended=run_id in ended) if run_id in self._watched else None
            if parcel is not None:
                parcels.append(parcel)
        return parcels

    def _readable(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event with the names that files have on the driver's machine."""
        there = str(self._files)
        return {key: value.replace(there, "") if isinstance(value, str) else value for key, value in event.items()}

    def stop(self) -> None:
        """End after this epoch."""
        self._start().say(STOP)

    def end_slowly(self) -> None:
        """As `WorkerProcess.end_slowly`, once and for all."""
        self._start().end_slowly()

    def autopsy(self) -> tuple[Kind, str, str | None]:
        """(kind, reason, where it was when it was asked to end) of the process's end."""
        child = self._start()
        child.kill()
        code, place = child.process.wait(), child.place()
        if code == -9 and self._oom_watch.struck():
            return "oom", "out of memory: the kernel ended its process", place
        kind: Kind = "oom" if child.ran_out_of_memory() else "killed"
        reason = child.cause_of_death().replace(str(self._files), "")
        return kind, f"out of memory: {reason}" if kind == "oom" else reason, place

    def close(self) -> None:
        """End the process and remove what it left."""
        if self._child is not None and not self._over:
            self._child.close()
        self._scratch.remove()
