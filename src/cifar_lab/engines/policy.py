"""How far a command goes for its runs: how often each is tried, how long it may take, and when all of them stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Retry = Literal["none", "failed", "all"]
"""Which runs that an earlier command ended are tried again: none, those recorded as failed, those that diverged too."""


@dataclass(frozen=True)
class Policy:
    """What every engine keeps to."""

    retries: int = 1
    """More tries of a run whose process died, that ran out of memory, or that took longer than `run_seconds`."""
    run_seconds: float | None = None
    """Longest that one try of a run may take; then its process is ended."""
    max_failures: int | None = None
    """Once so many runs have failed no new one is begun, and those under way end after their epoch."""
    deadline: float | None = None
    """Moment of `time.monotonic` from which on no new run is begun, and those under way end after their epoch."""
    retry: Retry = "failed"
    """What becomes of runs that ended badly before this command; decided before an engine is called."""
