"""Classification of the end of a run: its metrics, or the kind and description of its failure."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator

from cifar_lab.core.errors import DataError, EnvironmentFault, Interrupted, LabError, Paused, SettingsError
from cifar_lab.store.failures import Kind
from cifar_lab.store.locks import HeldError
from cifar_lab.store.records import Record
from cifar_lab.training.events import RunEnd, RunFailed, RunFinished, RunHeld, RunInterrupted
from cifar_lab.training.job import Job

NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc")
"""Messages of torch's allocators in a plain RuntimeError (c10/core/impl/alloc_cpu.cpp, and CUDA errors)."""


def classify_end(outcome: Record | Exception, job: Job | None = None) -> RunEnd:
    """Last event of a run or of a query, from its record or exception. `job` is None for a query."""
    if isinstance(outcome, Record):
        return RunFinished(
            outcome.status,
            outcome.reason,
            outcome.val.accuracy if outcome.val else None,
            outcome.test.accuracy if outcome.test else None,
        )
    if isinstance(outcome, Paused):
        return RunFinished("paused", str(outcome))
    if isinstance(outcome, Interrupted):
        return RunInterrupted(str(outcome))
    if isinstance(outcome, HeldError):
        return RunHeld(outcome.holder)
    kind = kind_of(outcome)
    if isinstance(outcome, LabError):
        return RunFailed(str(outcome), outcome.exit_code, kind)
    last = traceback.extract_tb(outcome.__traceback__)[-1]
    reason = f"{type(outcome).__name__}: {' '.join(str(outcome).split())} ({last.filename}:{last.lineno})"
    if kind == "oom":
        where = f" at batch size {job.settings.data.batch_size}" if job is not None else ""
        reason = f"out of memory{where}: {reason}"
    return RunFailed(reason, 1, kind, "".join(traceback.format_exception(outcome)))


def kind_of(error: Exception) -> Kind:
    """Kind of a failure, from the exception and its chain of causes."""
    for each in _causes(error):
        if _is_out_of_memory(each):
            return "oom"
        if isinstance(each, ImportError):
            return "import"
    kinds: dict[type[LabError], Kind] = {SettingsError: "settings", DataError: "data", EnvironmentFault: "environment"}
    return next((kind for of, kind in kinds.items() if isinstance(error, of)), "error")


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError by its name, because this module does not import torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and its chain of `__cause__`."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
