"""A worker process as its parent sees it: started, spoken to, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from cifar_lab.threads import openmp_environment


class WorkerProcess:
    """A child process and the pipes to it."""

    def __init__(self, threads: int, gpu: int | None = None) -> None:
        """`gpu`: the number of the only GPU that it sees; None leaves them as they are."""
        self.threads, self.gpu = threads, gpu
        environment = openmp_environment(threads)
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = _visible(gpu)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        # Its own session: Ctrl-C reaches the parent alone, which then decides.
        self.process = subprocess.Popen(
            # -P: a file of the user's called queue.py must not be taken for Python's own.
            [sys.executable, "-P", "-m", "cifar_lab.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            encoding="utf-8",
            start_new_session=True,
        )

    def say(self, line: str) -> None:
        """Send one line; a worker that is gone hears nothing."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            stdin.write(line + "\n")
            stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """What it tells, until it has no more to say; a line that its death cut short is nothing."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)

    def cause_of_death(self) -> str:
        """Why the process ended, in words."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        said = f"; it last said: {lines[-1][:300]}" if lines else ""
        return f"its process was killed by signal {-code}{said}" if code < 0 else f"its process ended with {code}{said}"

    def close(self) -> None:
        """No more jobs: the worker ends by itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def _visible(gpu: int) -> str:
    """Which device the `gpu`-th of those that this process may use is; `CUDA_VISIBLE_DEVICES` may have cut them."""
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return allowed[gpu].strip() if gpu < len(allowed) else str(gpu)
