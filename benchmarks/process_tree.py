"""Run a command and tell its wall time and the peak memory of it and all its children, from outside. Linux only."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Measured:
    """What one command took."""

    seconds: float
    """Wall time from the start of the process to its end."""
    peak_bytes: int
    """Highest sum of proportional set sizes seen over the process and its children, polled each half second."""
    output: str


def measure(command: Sequence[str]) -> Measured:
    """Run `command` to its end.

    Raises:
        subprocess.CalledProcessError: it ended with another code than 0.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    ended = threading.Event()

    def poll() -> None:
        nonlocal peak
        while not ended.wait(POLL_SECONDS):
            peak = max(peak, _tree_bytes(process.pid))

    watcher = threading.Thread(target=poll)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Measured(seconds, peak, output)


def _tree_bytes(pid: int) -> int:
    """Memory of a process and all below it; pages that several share are counted once."""
    total, waiting = 0, [pid]
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        try:
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return total
