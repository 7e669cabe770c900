"""The peak memory of processes and all their children, watched from outside. Linux only."""

from __future__ import annotations

import threading
from collections.abc import Iterable
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


def _tree_bytes(pids: Iterable[int]) -> int:
    """Memory of processes and all below them."""
    total, waiting = 0, list(pids)
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
