"""Worker process as seen by its parent: start, input lines, messages, end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from typing import IO

from cifar_lab.execution.local.early_worker import Launched, launch
from cifar_lab.execution.protocol import encode_devices
from cifar_lab.training.events import Message, decode_event

GRACE_SECONDS = 10.0
"""Time between SIGTERM and SIGKILL."""

CLOSE_SECONDS = 5.0
"""Time for an idle worker to exit after its input is closed. Then it is killed."""

LOCATE_SECONDS = 0.5
"""Time for a process to write its position to standard error."""

NO_MEMORY = ("MemoryError", "can't allocate memory", "Cannot allocate memory", "bad_alloc")
"""Text in the last line of a process that ran out of memory."""


class WorkerProcess:
    """Child process with its pipes."""

    def __init__(self, threads: int, gpu: int | None = None, launched: Launched | None = None) -> None:
        """Start the process, which sees only GPU number `gpu`. None leaves the visible devices unchanged.

        It dies with the thread that starts it (`worker.tie_to_parent`).

        Args:
            launched: a process that was started early and has no task yet. None starts one.

        Raises:
            OSError: no process can be started.
        """
        self.threads, self.gpu = threads, gpu
        devices = None if gpu is None else _visible(gpu)
        self.process, self.errors, _ = launched or launch(threads, devices)
        self.ending_since: float | None = None
        """Value of `time.monotonic` at the first `end_slowly`."""
        if launched is not None and devices is not None:
            self.say(encode_devices(devices))

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def say(self, line: str) -> None:
        """Send one line. Does nothing if the worker is gone."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        # RuntimeError: a signal handler writes while this thread does.
        with contextlib.suppress(BrokenPipeError, ValueError, RuntimeError):
            stdin.write(line + "\n")
            stdin.flush()

    def messages(self) -> Iterator[Message]:
        """Messages until its standard output ends. Skips a line that the death of the process truncated."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                yield decode_event(line)

    def end_slowly(self) -> None:
        """Ask it to stop after its epoch, and kill it after GRACE_SECONDS. Called repeatedly."""
        now = time.monotonic()
        if self.ending_since is None:
            self.ending_since = now
            self.process.terminate()
        elif now - self.ending_since > GRACE_SECONDS:
            self.kill()

    def kill(self) -> None:
        """Kill it and its children."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end_group(self) -> None:
        """Kill the children of a dead worker, which would keep its pipes open."""
        if self.process.returncode is not None or not hasattr(os, "waitid"):
            return
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            # WNOWAIT: the process stays a zombie, so its id cannot pass to another process before killpg.
            if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> list[str]:
        """Lines of its standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip().splitlines()

    def location(self, files: Collection[str] = ()) -> str | None:
        """Position of its main thread at SIGTERM, as `file:line (function)`: in one of `files`, if it was there."""
        found = [re.match(r'\s+File "(.+)", line (\d+) in (.+)', line) for line in self.last_words()]
        frames = [where for where in found if where]
        frames.sort(key=lambda where: where[1] not in files)
        return next((f"{where[1]}:{where[2]} ({where[3]})" for where in frames), None)

    def stop_and_locate(self, files: Collection[str]) -> str | None:
        """End it at once. Returns its position in one of `files`, else in any file."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it writes its position and continues
                self.process.wait(LOCATE_SECONDS)
        location = self.location(files)
        self.kill()
        return location

    def ran_out_of_memory(self) -> bool:
        """Whether the last line of its standard error says so."""
        return any(words in line for line in self.last_words()[-1:] for words in NO_MEMORY)

    def cause_of_death(self) -> str:
        """Describe the end of the process."""
        code = self.process.wait()
        lines = self.last_words()
        self.close()
        said = f"; its last output: {lines[-1][:300]}" if lines else ""
        return f"its process was killed by signal {-code}{said}" if code < 0 else f"its process ended with {code}{said}"

    def close(self) -> None:
        """Close its input and wait for its exit, or kill it."""
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
    """Value of `CUDA_VISIBLE_DEVICES` that selects the `gpu`-th device visible to this process."""
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return allowed[gpu].strip() if gpu < len(allowed) else str(gpu)
