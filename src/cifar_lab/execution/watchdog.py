"""Observation of worker processes: time limits, silence, and kills by the kernel's OOM killer. No torch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from cifar_lab.core.host import read_if_there

QUIET_SECONDS = 120.0
"""Silence of a worker after which the user is notified, and again each time that it has doubled."""

START_SECONDS = 60.0
"""Extra time for a process until its first event, in which it imports torch and reads images."""

RECENT_SECONDS = 3.0
"""Longest delay between a movement of the kernel's counter and the parent's notice of the death."""


class AttemptWatchdog:
    """Timer of one task in one process. Runs of a task may wait for others, and only running ones can be late."""

    def __init__(self, run_ids: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = set(run_ids)
        self._began: dict[str, float] = {}
        self._last_event = clock()
        self._idle_since = self._last_event + START_SECONDS
        self._notify_after = QUIET_SECONDS

    def heard(self, run_id: str, *, ended: bool) -> None:
        """Register an event of a run, which is its last if `ended`."""
        with self._lock:
            self._last_event, self._notify_after = self._clock(), QUIET_SECONDS
            self._waiting.discard(run_id)
            if ended:
                self._began.pop(run_id, None)
                if not self._began:
                    self._idle_since = self._last_event
            else:
                self._began.setdefault(run_id, self._last_event)

    def running(self) -> set[str]:
        """Ids of runs with a first event and no last one. If there is none, all that wait."""
        with self._lock:
            return set(self._began) or set(self._waiting)

    def late(self, limit: float) -> set[str]:
        """Ids of runs that have been running for more than `limit` seconds. All that wait, if none starts."""
        with self._lock:
            now = self._clock()
            if not self._began:
                return set(self._waiting) if now - self._idle_since > limit else set()
            return {run_id for run_id, began in self._began.items() if now - began > limit}

    def quiet_seconds(self) -> float | None:
        """Seconds since the last event whenever a notice is due, else None."""
        with self._lock:
            quiet = self._clock() - self._last_event
            if quiet < self._notify_after:
                return None
            self._notify_after *= 2
            return quiet


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Number of processes that the OOM killer has ended, in this cgroup if it counts them, else on the machine.

    A cgroup's counter is in memory.events (version 2, Linux Documentation/admin-guide/cgroup-v2.rst) or in
    memory.oom_control (version 1). 0 if there is no counter.
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
    """Value of `oom_kill` in a file of counters."""
    for line in read_if_there(path).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdecimal():
            return int(value)
    return None


class OomWatch:
    """Detector of recent kills by the OOM killer."""

    def __init__(self, read: Callable[[], int] = oom_kills, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._seen = deque([(clock(), read())])
        """(time, count) of the last RECENT_SECONDS and one before, oldest first."""

    def look(self) -> None:
        """Sample the counter. Frequent calls keep old kills apart from a recent one."""
        now = self._clock()
        if now - self._seen[-1][0] >= RECENT_SECONDS / 3:
            self._seen.append((now, self._read()))
            while self._seen[1][0] <= now - RECENT_SECONDS:
                self._seen.popleft()

    def struck(self) -> bool:
        """Whether the counter has moved recently. Each counted kill explains one death."""
        count = self._read()
        if count <= self._seen[0][1]:
            return False
        self._seen = deque((when, min(seen + 1, count)) for when, seen in self._seen)
        return True
