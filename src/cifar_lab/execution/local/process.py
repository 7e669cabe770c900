"""A worker process as its parent sees it: started, spoken to, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from cifar_lab.training.threads import openmp_environment

GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL for a process that is to end."""

CLOSE_SECONDS = 5.0
"""A worker that has nothing to do and does not end by itself is ended after so long."""

NO_MEMORY = ("MemoryError", "can't allocate memory", "Cannot allocate memory", "bad_alloc")
"""Last words of a process that memory did not suffice for."""


class WorkerProcess:
    """A child process and the pipes to it."""

    def __init__(self, threads: int, gpu: int | None = None) -> None:
        """`gpu`: the number of the only GPU that it sees; None leaves them as they are.

        It dies with the thread that starts it (`lifeline.tie_to_parent`).
        """
        self.threads, self.gpu = threads, gpu
        environment = openmp_environment(threads)
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = _visible(gpu)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.ending_since: float | None = None
        """Moment of `time.monotonic` of the first `end_slowly`."""
        # Its own session: Ctrl-C reaches the parent alone, which then decides.
        self.process = subprocess.Popen(
            # -P: a file of the user's called queue.py must not be taken for Python's own.
            [sys.executable, "-P", "-m", "cifar_lab.execution.local.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            encoding="utf-8",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def say(self, line: str) -> None:
        """Send one line; a worker that is gone hears nothing."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        # RuntimeError: a signal's handler speaks in the middle of another word.
        with contextlib.suppress(BrokenPipeError, ValueError, RuntimeError):
            stdin.write(line + "\n")
            stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """What it tells, until it has no more to say; a line that its death cut short is nothing."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)

    def end_slowly(self) -> None:
        """Ask it to end after its epoch, and end it when GRACE_SECONDS have passed; called again and again."""
        now = time.monotonic()
        if self.ending_since is None:
            self.ending_since = now
            self.process.terminate()
        elif now - self.ending_since > GRACE_SECONDS:
            self.kill()

    def kill(self) -> None:
        """End it now, and what it has started."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end_group(self) -> None:
        """Where it is dead, end what it has started: a process that it forked would keep its pipes open."""
        if self.process.returncode is not None or not hasattr(os, "waitid"):
            return
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            # Its number cannot go to another process before it is waited for, which this does not do.
            if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> list[str]:
        """Lines that it wrote to standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip().splitlines()

    def place(self) -> str | None:
        """Where its main thread was when it was asked to end, as `file:line (function)`."""
        found = [re.match(r'\s+File "(.+)", line (\d+) in (.+)', line) for line in self.last_words()]
        return next((f"{where[1]}:{where[2]} ({where[3]})" for where in found if where), None)

    def ran_out_of_memory(self) -> bool:
        """Whether its last words say so."""
        return any(words in line for line in self.last_words()[-1:] for words in NO_MEMORY)

    def cause_of_death(self) -> str:
        """Why the process ended, in words."""
        code = self.process.wait()
        lines = self.last_words()
        self.close()
        said = f"; it last said: {lines[-1][:300]}" if lines else ""
        return f"its process was killed by signal {-code}{said}" if code < 0 else f"its process ended with {code}{said}"

    def close(self) -> None:
        """No more jobs: the worker ends by itself, or is ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def _visible(gpu: int) -> str:
    """Which device the `gpu`-th of those that this process may use is; `CUDA_VISIBLE_DEVICES` may have cut them."""
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return allowed[gpu].strip() if gpu < len(allowed) else str(gpu)
