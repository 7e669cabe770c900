"""Limits of a command: attempts per run, time per attempt, failures, and the deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cifar_lab.core.errors import SettingsError
from cifar_lab.store.failures import Kind

Retry = Literal["none", "failed", "all"]
"""Runs of an earlier command to attempt again: none, those recorded as failed, or diverged runs as well."""

TRANSIENT: frozenset[Kind] = frozenset({"killed", "oom", "timeout", "import"})
"""Kinds of failure that a fresh process may not meet again. Any other kind would recur."""


@dataclass(frozen=True)
class Policy:
    """Limits that every engine observes."""

    retries: int = 1
    """Further attempts of a run after a transient failure."""
    run_seconds: float | None = None
    """Time limit of one attempt in seconds. Then its process is ended."""
    max_failures: int | None = None
    """Failed runs after which no new run starts and the running ones stop after their epoch."""
    deadline: float | None = None
    """Value of `time.monotonic` after which no new run starts and the running ones stop after their epoch."""
    retry: Retry = "failed"
    """Treatment of runs that an earlier command ended badly. Decided before an engine is called."""

    def __post_init__(self) -> None:
        """Validate the limits.

        Raises:
            SettingsError: `retries` is negative, `max_failures` is below 1, or `retry` is unknown.
        """
        if self.retries < 0:
            raise SettingsError(f"retries: {self.retries} is below 0; write 0 for a single try")
        if self.max_failures is not None and self.max_failures < 1:
            raise SettingsError(f"max_failures: {self.max_failures} is below 1; leave it out to go on after failures")
        if self.retry not in get_args(Retry):
            raise SettingsError(f"retry: {self.retry!r} is none of {', '.join(get_args(Retry))}")
