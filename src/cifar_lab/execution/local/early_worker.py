"""First worker of a command, whose process starts before the command has imported what it needs to plan.

Both take most of a second, and half of a worker's start is the import of torch. The module imports almost nothing, so
the process starts at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from cifar_lab.core.host import available_cores
from cifar_lab.core.openmp import openmp_environment, usable_cores
from cifar_lab.store.run_paths import has_runs

IMPORT = "import"
"""Request to import torch and the training code before the first task arrives."""

WITHOUT_PLUGINS = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "PYDANTIC_DISABLE_PLUGINS": "1"}
"""Environment of a worker. Otherwise torch and pydantic read the metadata of every installed package for plugins. The
plugins of torch are for devices that `runtime.device` cannot name."""


class Launched(NamedTuple):
    """Process of a worker, as it was started."""

    process: subprocess.Popen[str]
    errors: IO[bytes]
    """Its standard error."""
    threads: int
    """Most threads of its runs."""


def launch(threads: int, devices: str | None = None) -> Launched:
    """Start the process of a worker. It dies with the thread that calls this (`worker.tie_to_parent`).

    Args:
        devices: value of `CUDA_VISIBLE_DEVICES`. None leaves the visible devices unchanged.

    Raises:
        OSError: no process can be started.
    """
    environment = WITHOUT_PLUGINS | openmp_environment(threads)
    if devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = devices
    errors = tempfile.TemporaryFile()  # noqa: SIM115
    # A new session: Ctrl-C reaches only the parent, which then decides.
    process = subprocess.Popen(
        # -P: the user's folder may hold a queue.py, which would shadow Python's module.
        [sys.executable, "-P", "-m", "cifar_lab.execution.local.worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        encoding="utf-8",
        start_new_session=True,
    )
    return Launched(process, errors, threads)


class EarlyWorker:
    """A process that waits for the first supervisor that needs a worker."""

    def __init__(self, launched: Launched | None) -> None:
        self._launched, self._lock = launched, threading.Lock()

    def take(self, threads: int) -> Launched | None:
        """The process, once, if its runs may have so many threads and it lives.

        A process for several threads also makes runs with one (`openmp_environment`).
        """
        with self._lock:
            launched = self._launched
            if launched is not None and launched.threads >= threads and launched.process.poll() is None:
                self._launched = None
                return launched
        self.dismiss()
        return None

    def dismiss(self) -> None:
        """Kill the process if no supervisor has taken it."""
        with self._lock:
            launched, self._launched = self._launched, None
        if launched is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(launched.process.pid, signal.SIGKILL)
        launched.process.wait()
        for pipe in (launched.process.stdin, launched.process.stdout, launched.errors):
            assert pipe is not None
            pipe.close()


@contextmanager
def early_worker(results: Path, *, begins: bool, force: bool = False) -> Iterator[EarlyWorker]:
    """Start the process for the runs of a command, and kill it at the end if none was made.

    It imports torch at once if runs will surely be missing: those of an empty results folder, or of `--force`.
    Otherwise it waits for a task.

    Args:
        begins: whether the command makes runs on this machine, if they are missing.
    """
    worker = EarlyWorker(_start(imports=force or not has_runs(results)) if begins else None)
    try:
        yield worker
    finally:
        worker.dismiss()


def _start(*, imports: bool) -> Launched | None:
    """The process. None where none can be started, which the first task reports."""
    try:
        launched = launch(usable_cores(available_cores()))
    except OSError:
        return None
    if imports:
        assert launched.process.stdin is not None
        with suppress(OSError):
            print(IMPORT, file=launched.process.stdin, flush=True)
    return launched
