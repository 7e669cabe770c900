"""How long the runs of one try have been under way, and when they were last heard of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

QUIET_SECONDS = 120.0
"""Without a word from a worker for so long, a person is told, and again each time that it has doubled."""


START_SECONDS = 60.0
"""Granted to a process beyond a run's own time until it is first heard of: torch is imported and images are read."""


class AttemptWatchdog:
    """Watches one task in one process. Runs of a task may wait for others of it; only those under way grow late."""

    def __init__(self, run_ids: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = set(run_ids)
        self._began: dict[str, float] = {}
        self._heard = clock()
        self._idle_since = self._heard + START_SECONDS
        self._note_after = QUIET_SECONDS

    def heard(self, run_id: str, *, ended: bool) -> None:
        """The worker told something of a run."""
        with self._lock:
            self._heard, self._note_after = self._clock(), QUIET_SECONDS
            self._waiting.discard(run_id)
            if ended:
                self._began.pop(run_id, None)
                if not self._began:
                    self._idle_since = self._heard
            else:
                self._began.setdefault(run_id, self._heard)

    def under_way(self) -> set[str]:
        """Runs that have been heard of and have not ended; all that are left where none has."""
        with self._lock:
            return set(self._began) or set(self._waiting)

    def late(self, limit: float) -> set[str]:
        """Runs that have been under way for longer than `limit` seconds; all that are left where none can begin."""
        with self._lock:
            now = self._clock()
            if not self._began:
                return set(self._waiting) if now - self._idle_since > limit else set()
            return {run_id for run_id, began in self._began.items() if now - began > limit}

    def quiet_seconds(self) -> float | None:
        """How long nothing was heard, each time that there is reason to say so; else None."""
        with self._lock:
            quiet = self._clock() - self._heard
            if quiet < self._note_after:
                return None
            self._note_after *= 2
            return quiet
