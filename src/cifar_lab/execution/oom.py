"""Whether the kernel has ended a process because memory ran out, read from its counters. No torch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cifar_lab.core.host import read_if_there

RECENT_SECONDS = 3.0
"""A process that died of it is seen to be dead this soon after the counter has moved."""


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Processes that the kernel has ended for want of memory: of this cgroup, where that is counted, else of all.

    A cgroup's own counter stands in memory.events (version 2; Linux Documentation/admin-guide/cgroup-v2.rst) or
    memory.oom_control (version 1). 0 where there is no counter at all.
    """
    for line in read_if_there(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if controllers == "":
            files = [root / below / "memory.events" for root in (cgroups, cgroups / "unified")]
        elif "memory" in controllers.split(","):
            files = [cgroups / "memory" / below / "memory.oom_control"]
        else:
            continue
        for file in files:
            if (count := _counter(file)) is not None:
                return count
    return _counter(proc / "vmstat") or 0


def _counter(path: Path) -> int | None:
    """The number in the line `oom_kill N` of a file of counters."""
    for line in read_if_there(path).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdecimal():
            return int(value)
    return None


class OomWatch:
    """Tells whether a process that was just killed was killed for want of memory."""

    def __init__(self, read: Callable[[], int] = oom_kills, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._seen = deque([(clock(), read())])
        """Readings of the last RECENT_SECONDS and one before, oldest first."""

    def look(self) -> None:
        """Read the counter, so that what it counted long ago is not taken for a death of now; call it often."""
        now = self._clock()
        if now - self._seen[-1][0] >= RECENT_SECONDS / 3:
            self._seen.append((now, self._read()))
            while self._seen[1][0] <= now - RECENT_SECONDS:
                self._seen.popleft()

    def struck(self) -> bool:
        """Whether the counter has moved lately; each kill that it counted explains one death."""
        count = self._read()
        if count <= self._seen[0][1]:
            return False
        self._seen = deque((when, min(seen + 1, count)) for when, seen in self._seen)
        return True
