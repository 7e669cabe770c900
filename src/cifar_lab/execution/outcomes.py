"""How a run ended, for every engine: what a worker's event means, what a display is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cifar_lab.store.failures import Kind
from cifar_lab.training.job import Job

PASSING: frozenset[Kind] = frozenset({"killed", "oom", "timeout", "import"})
"""Kinds that a fresh process may not meet again; any other would fail in the same way."""

ENDINGS = ("finished", "interrupted", "failed")
"""Events of a worker that end a run."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    job: Job
    status: Literal["done", "diverged", "paused", "failed", "interrupted"]
    reason: str | None = None
    exit_code: int = 0
    traceback: str | None = None
    kind: Kind | None = None
    """Of a failure."""
    attempts: int = 1
    """Processes that this command gave it to."""
    val_accuracy: float | None = None
    """Of a run that is done and has a validation split."""
    test_accuracy: float | None = None
    """Of a run that is done and was tested."""

    def event(self) -> dict[str, Any]:
        """What a display, and who writes failures down, are told of it."""
        names = ("status", "reason", "exit_code", "kind", "attempts", "val_accuracy", "test_accuracy")
        return {"event": "outcome", **{name: getattr(self, name) for name in names}}


OnEvent = Callable[[Job, dict[str, Any]], None]


def outcome_of(job: Job, event: dict[str, Any], attempts: int = 1) -> Outcome:
    """The outcome that one of the ENDINGS tells of."""
    if event["event"] == "finished":
        val, test = event["val_accuracy"], event["test_accuracy"]
        return Outcome(
            job, event["status"], event["reason"], attempts=attempts, val_accuracy=val, test_accuracy=test
        )  # fmt: skip
    if event["event"] == "interrupted":
        return Outcome(job, "interrupted", event["reason"], attempts=attempts)
    return Outcome(
        job, "failed", event["reason"], event["exit_code"], event.get("traceback"), event["kind"], attempts
    )  # fmt: skip
