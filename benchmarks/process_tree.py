"""The peak memory and the processor time of processes and all their children, seen from outside. Linux only."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

POLL_SECONDS = 0.5
"""A look costs about 3 ms a process: often enough to see the peak, too seldom to slow what is measured."""


class PeakMemory:
    """Watches while the block lasts."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.peak_bytes = 0
        """Highest sum of proportional set sizes seen: pages that several processes share are counted once."""
        self._pids = list(pids)
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watcher.join()

    def _poll(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(self._pids))


def processor_seconds(pid: int) -> dict[str, float]:
    """User and system time of a process so far, and of all below it together."""
    times = [_processor_seconds(folder) for folder in _tree([pid])]
    return {"command": times[0], "workers": sum(times[1:])} if times else {}


def _processor_seconds(folder: Path) -> float:
    after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime of proc(5)


def _tree_bytes(pids: Iterable[int]) -> int:
    """Memory of processes and all below them."""
    total = 0
    for folder in _tree(pids):
        try:
            lines = (folder / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _tree(pids: Iterable[int]) -> Iterator[Path]:
    """Folders in /proc of processes and all below them."""
    waiting = list(pids)
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        yield folder
        try:
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            continue
