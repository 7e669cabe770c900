"""How far a command goes for its runs: how often each is tried, how long it may take, and when all of them stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cifar_lab.core.errors import SettingsError

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

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            SettingsError: fewer tries than one, an end after no failure at all, a word for `retry` that there is not.
        """
        if self.retries < 0:
            raise SettingsError(f"retries: {self.retries} is below 0; write 0 for a single try")
        if self.max_failures is not None and self.max_failures < 1:
            raise SettingsError(f"max_failures: {self.max_failures} is below 1; leave it out to go on after failures")
        if self.retry not in get_args(Retry):
            raise SettingsError(f"retry: {self.retry!r} is none of {', '.join(get_args(Retry))}")
