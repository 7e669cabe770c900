"""What a worker says when a run ends: its numbers, or the kind of its failure and the reason in words."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from typing import Any

from cifar_lab.core.errors import DataError, EnvironmentFault, Interrupted, LabError, Paused, SettingsError
from cifar_lab.store.failures import Kind
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job

NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc")
"""What torch's allocators say in a plain RuntimeError (c10/core/impl/alloc_cpu.cpp; CUDA's own errors)."""


def ending_event(outcome: Record | Exception, job: Job | None = None) -> dict[str, Any]:
    """The event that ends a run; `job` where it is more than a trial."""
    if isinstance(outcome, Record):
        return {
            "event": "finished",
            "status": outcome.status,
            "reason": outcome.reason,
            "val_accuracy": outcome.val.accuracy if outcome.val else None,
            "test_accuracy": outcome.test.accuracy if outcome.test else None,
        }
    if isinstance(outcome, Paused):
        return {
            "event": "finished",
            "status": "paused",
            "reason": str(outcome),
            "val_accuracy": None,
            "test_accuracy": None,
        }
    if isinstance(outcome, Interrupted):
        return {"event": "interrupted", "reason": str(outcome)}
    kind = kind_of(outcome)
    if isinstance(outcome, LabError):
        return {"event": "failed", "reason": str(outcome), "exit_code": outcome.exit_code, "kind": kind}
    last = traceback.extract_tb(outcome.__traceback__)[-1]
    reason = f"{type(outcome).__name__}: {' '.join(str(outcome).split())} ({last.filename}:{last.lineno})"
    if kind == "oom":
        where = f" at batch size {job.settings.data.batch_size}" if job is not None else ""
        reason = f"out of memory{where}: {reason}"
    full = "".join(traceback.format_exception(outcome))
    return {"event": "failed", "reason": reason, "exit_code": 1, "traceback": full, "kind": kind}


def kind_of(error: Exception) -> Kind:
    """The kind of a failure, by the error or by what it arose from."""
    for each in _causes(error):
        if _is_of_memory(each):
            return "oom"
        if isinstance(each, ImportError):
            return "import"
    kinds: dict[type[LabError], Kind] = {SettingsError: "settings", DataError: "data", EnvironmentFault: "environment"}
    return next((kind for of, kind in kinds.items() if isinstance(error, of)), "error")


def _is_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError by its name: this module is read before torch is.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that were raised from one another before it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
